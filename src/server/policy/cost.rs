//! The cost of a month: what it is so far, the forecast for the whole month, and the mode that follows.
//!
//! The spend of a month is its fixed cost, in proportion to the time that has passed, plus the price
//! of all bytes sent. A bill from the cloud replaces what was metered up to its time.

use chrono::{DateTime, Datelike, Months, NaiveDate};

use crate::protocol::{CostMode, ModeOverride, Tier};
use crate::server::config::{CostConfig, Thresholds};
use crate::server::model::{Bill, CostState};

/// How far the ratio must fall below the threshold of a mode before the mode is left: two percentage
/// points.
const HYSTERESIS_RATIO: f64 = 0.02;

/// Traffic is projected as if at least this much of the month had passed, so that one busy hour on
/// the first of the month is not multiplied by seven hundred.
const MIN_BASIS_MS: i64 = 3 * DAY_MS;

/// How long a bill is current, in milliseconds.
const BILL_CURRENT_MS: i64 = DAY_MS;

/// A day in UTC, where all days have the same length.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Month {
    /// Its first millisecond, in Unix milliseconds.
    pub start_ms: i64,
    /// The first millisecond of the next one.
    pub end_ms: i64,
}

impl Month {
    /// The month that contains `now_ms`.
    pub(crate) fn of(now_ms: i64) -> Self {
        let today = DateTime::from_timestamp_millis(now_ms).unwrap_or_default();
        let first = NaiveDate::from_ymd_opt(today.year(), today.month(), 1).unwrap_or_default();
        let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
        let start_of = |day: NaiveDate| day.and_time(Default::default()).and_utc();
        Self {
            start_ms: start_of(first).timestamp_millis(),
            end_ms: start_of(next).timestamp_millis(),
        }
    }

    /// Whether it contains `time_ms`.
    pub(crate) fn holds(&self, time_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&time_ms)
    }

    /// The part of it that has passed at `now_ms`, from 0 to 1.
    fn share(&self, now_ms: i64) -> f64 {
        (now_ms - self.start_ms) as f64 / (self.end_ms - self.start_ms) as f64
    }
}

/// What a month has cost so far, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spend {
    /// What it costs without any traffic.
    pub compute_usd: f64,
    /// What its traffic costs.
    pub transfer_usd: f64,
}

impl Spend {
    /// The sum.
    pub(crate) fn total_usd(&self) -> f64 {
        self.compute_usd + self.transfer_usd
    }
}

impl Bill {
    /// Whether it is out of date at `now_ms`.
    pub(crate) fn is_stale(&self, now_ms: i64) -> bool {
        now_ms - self.as_of_ms > BILL_CURRENT_MS
    }
}

impl CostState {
    /// The mode at `now_ms`: the one that an operator forced, or else the one that the budget asks for.
    pub(crate) fn mode_at(&self, config: &CostConfig, now_ms: i64) -> CostMode {
        let forced = self.forced_at(config.mode_override, now_ms);
        forced.map_or(self.mode, |forced| forced.mode)
    }

    /// The override at `now_ms`: the one that an operator sent, or else the one in `setting`.
    pub(crate) fn forced_at(
        &self,
        setting: Option<ModeOverride>,
        now_ms: i64,
    ) -> Option<ModeOverride> {
        let holds = |forced: &ModeOverride| now_ms < forced.until_ms;
        self.forced.filter(holds).or(setting.filter(holds))
    }
}

/// What the month has cost by the registry's own count, if `bytes` were sent in it.
pub(crate) fn metered(config: &CostConfig, now_ms: i64, bytes: i64) -> Spend {
    Spend {
        compute_usd: config.fixed_monthly_usd * Month::of(now_ms).share(now_ms),
        transfer_usd: config.egress_usd_per_gb * bytes.max(0) as f64 / 1e9,
    }
}

/// What the month has cost, corrected by a bill if there is one of this month.
pub(crate) fn spend(metered: Spend, bill: Option<Bill>, now_ms: i64) -> Spend {
    let Some(bill) = bill.filter(|bill| Month::of(now_ms).holds(bill.as_of_ms)) else {
        return metered;
    };
    let since_usd = (metered.total_usd() - bill.metered_usd).max(0.0);
    let total_usd = bill.spend_usd + since_usd;
    let compute_usd = metered.compute_usd.min(total_usd);
    Spend {
        compute_usd,
        transfer_usd: total_usd - compute_usd,
    }
}

/// The forecast for a whole month.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Forecast {
    /// What it has cost so far.
    pub spend: Spend,
    /// What the whole month will cost if traffic continues as before, in US dollars.
    pub projected_usd: f64,
    /// The projection divided by the budget.
    pub ratio: f64,
}

/// Projects the cost of the month that contains `now_ms`.
pub(crate) fn forecast(config: &CostConfig, spend: Spend, now_ms: i64) -> Forecast {
    let month = Month::of(now_ms);
    let basis_ms = (now_ms - month.start_ms).max(MIN_BASIS_MS);
    let growth = (month.end_ms - month.start_ms) as f64 / basis_ms as f64;
    let projected_usd = config.fixed_monthly_usd + spend.transfer_usd * growth;
    Forecast {
        spend,
        projected_usd,
        ratio: projected_usd / config.monthly_budget_usd,
    }
}

/// The mode that follows `mode` at a cost ratio. A tighter mode begins at once; a looser one only when
/// the ratio is well below the threshold of the tighter one.
pub(crate) fn next_mode(mode: CostMode, ratio: f64, thresholds: &Thresholds) -> CostMode {
    let reached = |margin: f64| {
        let mut modes = CostMode::ALL.into_iter().rev();
        modes
            .find(|mode| ratio >= thresholds.entry_ratio(*mode) - margin)
            .unwrap_or_default()
    };
    reached(0.0).max(reached(HYSTERESIS_RATIO).min(mode))
}

/// What a mode allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModeLimits {
    /// Whether a peer must have tried a direct connection first.
    pub needs_p2p_attempt: bool,
    /// The minimum tier that is relayed.
    pub min_tier: Tier,
    /// Whether only live sessions are renewed.
    pub renews_only: bool,
    /// Whether nothing is granted.
    pub grants_nothing: bool,
    /// Maximum bandwidth of a session, in Mbit/s, whatever its tier.
    pub max_mbps: Option<u32>,
    /// How long a session lasts unless it is renewed, in seconds.
    pub duration_secs: u64,
    /// Maximum number of live premium sessions of all peers together.
    pub premium_sessions: Option<u32>,
    /// Whether no peer may hold more than a quarter of the granted bandwidth.
    pub shares_bandwidth: bool,
    /// Maximum number of peers in a listing of a reader that has listed peers within the last minute,
    /// if it is lower than `MAX_LISTED`.
    pub max_listed: Option<usize>,
}

impl ModeLimits {
    /// What `mode` allows; each mode allows at most what the one before it does.
    pub(crate) const fn of(mode: CostMode) -> Self {
        let normal = Self {
            needs_p2p_attempt: false,
            min_tier: Tier::Free,
            renews_only: false,
            grants_nothing: false,
            max_mbps: None,
            duration_secs: 3600,
            premium_sessions: None,
            shares_bandwidth: false,
            max_listed: None,
        };
        let warning = Self {
            needs_p2p_attempt: true,
            max_mbps: Some(50),
            duration_secs: 15 * 60,
            shares_bandwidth: true,
            ..normal
        };
        let throttle = Self {
            min_tier: Tier::Premium,
            max_mbps: Some(20),
            duration_secs: 10 * 60,
            premium_sessions: Some(5),
            max_listed: Some(100),
            ..warning
        };
        let emergency = Self {
            renews_only: true,
            max_mbps: Some(5),
            duration_secs: 5 * 60,
            ..throttle
        };
        match mode {
            CostMode::Normal => normal,
            CostMode::Warning => warning,
            CostMode::Throttle => throttle,
            CostMode::Emergency => emergency,
            CostMode::Shutdown => Self {
                grants_nothing: true,
                ..emergency
            },
        }
    }
}

#[cfg(test)]
mod tests;
