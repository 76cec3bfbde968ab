//! Reads the settings of the relay budget.

use clap::Args;

use super::checker::{Checker, SettingsError};
use super::cost::{CostConfig, Thresholds, TierTable};

/// The settings of the relay budget as they are given.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Relay budget")]
pub struct CostSettings {
    /// What a month may cost, in US dollars
    #[arg(
        long,
        env = "MONTHLY_BUDGET_USD",
        value_name = "USD",
        default_value = "800"
    )]
    monthly_budget_usd: String,

    /// What a month costs without any traffic, in US dollars
    #[arg(
        long,
        env = "FIXED_MONTHLY_COST_USD",
        value_name = "USD",
        default_value = "60"
    )]
    fixed_monthly_cost_usd: String,

    /// What 10^9 bytes sent cost, in US dollars
    #[arg(
        long,
        env = "EGRESS_USD_PER_GB",
        value_name = "USD",
        default_value = "0.09"
    )]
    egress_usd_per_gb: String,

    /// Percentages of the budget at which warning, throttle, emergency and shutdown begin
    #[arg(
        long,
        env = "COST_THRESHOLDS_PERCENT",
        value_name = "LIST",
        default_value = "70,85,95,98"
    )]
    cost_thresholds_percent: String,

    /// Mbit/s per session and sessions per peer of each tier
    #[arg(
        long,
        env = "TIER_LIMITS",
        value_name = "TIER=MBPS/SESSIONS,...",
        default_value = "free=5/1,basic=10/2,standard=50/5,premium=100/10"
    )]
    tier_limits: String,

    /// Whether peers choose their own tier; for closed networks
    #[arg(
        long,
        env = "TRUST_CLIENT_TIER",
        value_name = "true|false",
        default_value = "false"
    )]
    trust_client_tier: String,

    /// A mode that holds whatever the cost, until a moment if one is given
    #[arg(long, env = "MODE_OVERRIDE", value_name = "MODE[@RFC3339]")]
    mode_override: Option<String>,
}

impl CostSettings {
    /// Checks every setting of the budget.
    ///
    /// # Errors
    /// Names each setting that is wrong, with what it is and what it may be.
    pub fn check(&self) -> Result<CostConfig, SettingsError> {
        let mut checker = Checker::default();
        let config = self.read(&mut checker);
        checker.finish().map(|()| config)
    }

    pub(super) fn read(&self, checker: &mut Checker) -> CostConfig {
        let mut usd = |name, text: &str, least| checker.decimal(name, text, least..=1e9);
        CostConfig {
            monthly_budget_usd: usd("MONTHLY_BUDGET_USD", &self.monthly_budget_usd, 0.01),
            fixed_monthly_usd: usd("FIXED_MONTHLY_COST_USD", &self.fixed_monthly_cost_usd, 0.0),
            egress_usd_per_gb: usd("EGRESS_USD_PER_GB", &self.egress_usd_per_gb, 0.0),
            thresholds: checker.parse(
                "COST_THRESHOLDS_PERCENT",
                &self.cost_thresholds_percent,
                "four ascending percentages, e.g. 70,85,95,98",
                Thresholds::default(),
            ),
            tiers: checker.parse(
                "TIER_LIMITS",
                &self.tier_limits,
                "TIER=MBPS/SESSIONS of free, basic, standard or premium, none less than the one \
                 below it, e.g. free=5/1,premium=100/10",
                TierTable::default(),
            ),
            trust_client_tier: checker.parse(
                "TRUST_CLIENT_TIER",
                &self.trust_client_tier,
                "true or false",
                false,
            ),
            mode_override: self
                .mode_override
                .as_deref()
                .filter(|text| !text.is_empty())
                .and_then(|text| {
                    let form = "normal, warning, throttle, emergency or shutdown, and if need be @ \
                                and a moment, e.g. normal@2026-12-01T00:00:00Z";
                    checker.parse_some("MODE_OVERRIDE", text, form)
                }),
        }
    }
}
