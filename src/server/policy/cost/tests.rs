use proptest::prelude::*;

use super::*;
use crate::server::config::Config;

fn config() -> CostConfig {
    Config::default().cost
}

fn at(text: &str) -> i64 {
    let time = DateTime::parse_from_rfc3339(text).unwrap();
    time.timestamp_millis()
}

const GB: i64 = 1_000_000_000;

#[test]
fn a_month_is_the_calendar_s_in_utc() {
    let february = Month::of(at("2028-02-29T23:59:59.999Z"));
    assert_eq!(february.start_ms, at("2028-02-01T00:00:00Z"));
    assert_eq!(february.end_ms, at("2028-03-01T00:00:00Z"));
    assert_eq!(Month::of(february.end_ms).start_ms, february.end_ms);
    let december = Month::of(at("2026-12-31T12:00:00Z"));
    assert_eq!(december.end_ms, at("2027-01-01T00:00:00Z"));
}

#[test]
fn spend_is_the_fixed_cost_in_proportion_and_the_price_of_all_bytes() {
    // Half of a month of 30 days; 1000 GB at 9 cents.
    let spend = metered(&config(), at("2026-11-16T00:00:00Z"), 1000 * GB);
    assert!((spend.compute_usd - 30.0).abs() < 1e-9);
    assert!((spend.transfer_usd - 90.0).abs() < 1e-9);
}

#[test]
fn traffic_is_projected_to_the_end_of_the_month() {
    let config = config();
    let now_ms = at("2026-11-16T00:00:00Z");
    let forecast = forecast(&config, metered(&config, now_ms, 4000 * GB), now_ms);
    assert!((forecast.projected_usd - (60.0 + 720.0)).abs() < 1e-6);
    assert!((forecast.ratio - 780.0 / 800.0).abs() < 1e-9);
}

#[test]
fn one_busy_hour_on_the_first_does_not_shut_the_service() {
    let config = config();
    let now_ms = at("2026-11-01T01:00:00Z");
    // 100 GB in an hour would be 72,000 in the month, at 6480 dollars.
    let forecast = forecast(&config, metered(&config, now_ms, 100 * GB), now_ms);
    assert!((forecast.projected_usd - (60.0 + 90.0)).abs() < 1e-6);
    assert_eq!(
        next_mode(CostMode::Normal, forecast.ratio, &config.thresholds),
        CostMode::Normal
    );
}

#[test]
fn the_damping_ends_without_a_step() {
    let config = config();
    let ratio = |time: &str| {
        let now_ms = at(time);
        forecast(&config, metered(&config, now_ms, 300 * GB), now_ms).ratio
    };
    let (before, after) = (ratio("2026-11-03T23:59:59Z"), ratio("2026-11-04T00:00:01Z"));
    assert!((before - after).abs() < 1e-4, "{before} {after}");
}

#[test]
fn a_bill_replaces_what_was_metered_before_it() {
    let config = config();
    let as_of_ms = at("2026-11-10T00:00:00Z");
    let bill = Bill {
        spend_usd: 500.0,
        as_of_ms,
        metered_usd: metered(&config, as_of_ms, 1000 * GB).total_usd(),
    };
    let now_ms = at("2026-11-10T12:00:00Z");
    let now = metered(&config, now_ms, 1010 * GB);
    let total_usd = spend(now, Some(bill), now_ms).total_usd();
    // Half a day of the fixed cost, and ten gigabytes.
    assert!(
        (total_usd - (500.0 + 1.0 + 0.9)).abs() < 1e-9,
        "{total_usd}"
    );
    assert!(!bill.is_stale(as_of_ms + DAY_MS));
    assert!(bill.is_stale(as_of_ms + DAY_MS + 1));
    let next_ms = at("2026-12-01T00:00:00Z");
    let next = metered(&config, next_ms, 0);
    assert_eq!(
        spend(next, Some(bill), next_ms),
        next,
        "a bill of last month"
    );
}

#[test]
fn each_mode_begins_at_its_threshold_and_ends_two_points_below() {
    let thresholds = Thresholds::default();
    let next = |mode, ratio| next_mode(mode, ratio, &thresholds);
    for (entry, mode, before) in [
        (0.70, CostMode::Warning, CostMode::Normal),
        (0.85, CostMode::Throttle, CostMode::Warning),
        (0.95, CostMode::Emergency, CostMode::Throttle),
        (0.98, CostMode::Shutdown, CostMode::Emergency),
    ] {
        assert_eq!(next(CostMode::Normal, entry), mode);
        assert_eq!(next(CostMode::Normal, entry - 1e-9), before);
        assert_eq!(next(mode, entry - 0.0199), mode);
        assert_eq!(next(mode, entry - 0.0201), before);
    }
    assert_eq!(next(CostMode::Shutdown, 0.1), CostMode::Normal);
    assert_eq!(next(CostMode::Normal, 5.0), CostMode::Shutdown);
    assert_eq!(next(CostMode::Normal, f64::NAN), CostMode::Normal);
}

#[test]
fn each_mode_allows_at_most_what_the_one_before_it_does() {
    let limits = CostMode::ALL.map(ModeLimits::of);
    for pair in limits.windows(2) {
        let [looser, tighter] = pair else {
            unreachable!()
        };
        assert!(looser.needs_p2p_attempt <= tighter.needs_p2p_attempt);
        assert!(looser.min_tier <= tighter.min_tier);
        assert!(looser.renews_only <= tighter.renews_only);
        assert!(looser.grants_nothing <= tighter.grants_nothing);
        assert!(looser.duration_secs >= tighter.duration_secs);
        assert!(looser.shares_bandwidth <= tighter.shares_bandwidth);
        let most = |most: Option<u32>| most.unwrap_or(u32::MAX);
        assert!(most(looser.max_mbps) >= most(tighter.max_mbps));
        assert!(most(looser.premium_sessions) >= most(tighter.premium_sessions));
        let listed = |most: Option<usize>| most.unwrap_or(usize::MAX);
        assert!(listed(looser.max_listed) >= listed(tighter.max_listed));
    }
}

proptest! {
    #[test]
    fn the_ratio_is_monotone_in_the_bytes_sent(
        ms in 0i64..31 * DAY_MS, fewer in 0i64..1 << 50, more in 0i64..1 << 50,
    ) {
        let config = config();
        let now_ms = at("2026-12-01T00:00:00Z") + ms;
        let ratio = |bytes| forecast(&config, metered(&config, now_ms, bytes), now_ms).ratio;
        prop_assert!(ratio(fewer) <= ratio(fewer + more));
        prop_assert!(metered(&config, now_ms, fewer).total_usd()
            <= metered(&config, now_ms, fewer + more).total_usd());
    }

    #[test]
    fn more_cost_never_leads_to_a_looser_mode(
        mode in 0usize..5, less in 0.0..1.2f64, more in 0.0..1.2f64,
    ) {
        let next = |ratio| next_mode(CostMode::ALL[mode], ratio, &Thresholds::default());
        prop_assert!(next(less) <= next(less + more));
    }

    /// A ratio that varies by less than the hysteresis changes the mode at most once.
    #[test]
    fn a_trembling_ratio_does_not_make_the_mode_flap(
        base in 0.0..1.2f64, trembles in prop::collection::vec(0.0..0.0199f64, 1..50),
    ) {
        let thresholds = Thresholds::default();
        let mut mode = next_mode(CostMode::Normal, base, &thresholds);
        let mut changes = 0;
        for tremble in trembles {
            let next = next_mode(mode, base + tremble, &thresholds);
            changes += usize::from(next != mode);
            mode = next;
        }
        prop_assert!(changes <= 1, "{changes} changes");
    }
}

/// The table of modes in docs/relay-budget.md, row by row, as the code has it.
#[test]
fn the_documented_table_is_the_code_s() {
    let document = include_str!("../../../../docs/relay-budget.md");
    let thresholds = Thresholds::default();
    for mode in CostMode::ALL {
        let limits = ModeLimits::of(mode);
        let who = match limits {
            ModeLimits {
                grants_nothing: true,
                ..
            } => "none",
            ModeLimits {
                renews_only: true, ..
            } => "renewals of live premium sessions",
            ModeLimits {
                min_tier: Tier::Premium,
                ..
            } => "premium peers that have tried a direct connection",
            ModeLimits {
                needs_p2p_attempt: true,
                ..
            } => "those that have tried a direct connection",
            _ => "all",
        };
        let granted = if limits.grants_nothing {
            " | | ".to_owned()
        } else {
            format!(
                " {} | {} | {} ",
                limits
                    .max_mbps
                    .map_or("by tier".to_owned(), |mbps| format!("at most {mbps}")),
                limits.duration_secs / 60,
                limits
                    .premium_sessions
                    .map_or("any".to_owned(), |count| count.to_string()),
            )
        };
        let page = limits
            .max_listed
            .map_or("`MAX_LISTED`".to_owned(), |count| count.to_string());
        let percent = (thresholds.entry_ratio(mode) * 100.0).round();
        let row = format!("| `{mode}` | {percent} % | {who} |{granted}| {page} |");
        assert!(document.contains(&row), "no row {row:?}");
    }
}
