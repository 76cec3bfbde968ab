//! The cost status, as responses show it.

use enum_map::EnumMap;

use crate::protocol::{CostMode, ModeOverride, Tier};
use crate::server::model::Bill;
use crate::server::policy::cost::Forecast;

/// The cost of the month, and the mode that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct CostStatus {
    /// The cost so far, and the forecast for the month.
    pub forecast: Forecast,
    /// The mode in force.
    pub mode: CostMode,
    /// The mode that the budget asks for.
    pub budget_mode: CostMode,
    /// Since when the budget asks for it, in Unix milliseconds.
    pub budget_mode_since_ms: i64,
    /// The forced mode, if one is in force.
    pub forced: Option<ModeOverride>,
    /// The bill of this month, if the operator has sent one.
    pub bill: Option<Bill>,
    /// Live sessions of each tier.
    pub sessions_by_tier: EnumMap<Tier, u32>,
}

impl CostStatus {
    /// Live sessions of all tiers.
    pub(crate) fn sessions(&self) -> u64 {
        self.sessions_by_tier
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }
}
