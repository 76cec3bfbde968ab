//! What the month costs, as it is told.

use enum_map::EnumMap;

use crate::protocol::{CostMode, ModeOverride, Tier};
use crate::server::model::Bill;
use crate::server::policy::cost::Forecast;

/// What the month costs and how tight that makes the registry.
#[derive(Clone, Debug)]
pub(crate) struct CostStatus {
    /// What the month has cost and will have cost.
    pub forecast: Forecast,
    /// The mode that holds.
    pub mode: CostMode,
    /// The mode that the budget asks for.
    pub budget_mode: CostMode,
    /// Since when it does, in Unix milliseconds.
    pub budget_mode_since_ms: i64,
    /// The override, if one holds.
    pub forced: Option<ModeOverride>,
    /// The bill of this month, if one was fed in.
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
