use super::*;
use crate::clock::unix_ms;
use crate::server::config::Config;

fn config() -> CostConfig {
    Config::default().cost
}

fn play(sessions_per_day: u32) -> Vec<Day> {
    let load = Load {
        peers: 1000,
        sessions_per_day,
        mbps: 10,
        minutes: 30,
        tier_parts: EnumMap::from_array([70, 15, 10, 5]),
    };
    simulate(&config(), &load, unix_ms("2026-11-24T00:00:00Z").unwrap())
}

#[test]
fn a_quiet_month_costs_little_more_than_its_fixed_cost() {
    let days = play(20);
    assert_eq!(days.len(), 30);
    assert!(days.iter().all(|day| day.mode == CostMode::Normal));
    // At the end some fractions of sessions have not arrived yet.
    let granted: u32 = days.iter().map(|day| day.granted).sum();
    assert!((596..=600).contains(&granted), "{granted}");
    assert_eq!(
        days.iter()
            .flat_map(|day| day.refused.into_values())
            .sum::<u32>(),
        0
    );
    let spend_usd = days[29].spend_usd;
    // 600 sessions of 30 minutes at 5 or 10 Mbit/s are about 900 GB; and the heartbeats.
    let min_usd = 60.0 + 600.0 * 1800.0 * 5.0 * 125_000.0 / 1e9 * 0.09;
    assert!((min_usd..2.0 * min_usd).contains(&spend_usd), "{spend_usd}");
}

#[test]
fn a_busy_month_stays_within_its_budget() {
    let days = play(5_000);
    let budget_usd = config().monthly_budget_usd;
    assert!(days[29].spend_usd <= budget_usd, "{}", days[29].spend_usd);
    assert!(
        days[29].spend_usd > budget_usd / 2.0,
        "{}",
        days[29].spend_usd
    );
    assert!(days.iter().any(|day| day.mode >= CostMode::Throttle));
    assert!(days.iter().any(|day| day.refused[Tier::Free] > 0));
}

#[test]
fn more_sessions_never_cost_less_than_none() {
    let spends: Vec<f64> = [0, 10, 100].map(|count| play(count)[29].spend_usd).to_vec();
    assert!(spends.is_sorted(), "{spends:?}");
}
