//! What relaying may cost, and how much the peers of each tier may use.

use std::str::FromStr;

use enum_map::EnumMap;

use super::declaration::{Number, SettingGroup, Text};
use super::reader::Reader;
use crate::protocol::{CostMode, ModeOverride, Tier};

/// An upper bound for amounts, which serves only to catch a typing error, in US dollars.
const MAX_USD: f64 = 1e9;

const MONTHLY_BUDGET_USD: Number<f64> = Number {
    name: "MONTHLY_BUDGET_USD",
    unit: "USD",
    default: 800.0,
    range: 0.01..=MAX_USD,
    meaning: "What a month may cost, in US dollars",
};

const FIXED_MONTHLY_COST_USD: Number<f64> = Number {
    name: "FIXED_MONTHLY_COST_USD",
    unit: "USD",
    default: 60.0,
    range: 0.0..=MAX_USD,
    meaning: "What a month costs without any traffic, in US dollars",
};

const EGRESS_USD_PER_GB: Number<f64> = Number {
    name: "EGRESS_USD_PER_GB",
    unit: "USD",
    default: 0.09,
    range: 0.0..=MAX_USD,
    meaning: "What 10^9 bytes sent cost, in US dollars",
};

const COST_THRESHOLDS_PERCENT: Text = Text {
    name: "COST_THRESHOLDS_PERCENT",
    placeholder: "LIST",
    default: Some("70,85,95,98"),
    form: "four ascending percentages, e.g. 70,85,95,98",
    meaning: "Percentages of the budget at which warning, throttle, emergency and shutdown begin",
};

const TIER_LIMITS: Text = Text {
    name: "TIER_LIMITS",
    placeholder: "TIER=MBPS/SESSIONS,...",
    default: Some("free=5/1,basic=10/2,standard=50/5,premium=100/10"),
    form: "TIER=MBPS/SESSIONS of free, basic, standard or premium, none less than the one below \
           it, e.g. free=5/1,premium=100/10",
    meaning: "Mbit/s per session and sessions per peer of each tier",
};

const TRUST_CLIENT_TIER: Text = Text {
    name: "TRUST_CLIENT_TIER",
    placeholder: "true|false",
    default: Some("false"),
    form: "true or false",
    meaning: "Whether peers choose their own tier; for closed networks",
};

const MODE_OVERRIDE: Text = Text {
    name: "MODE_OVERRIDE",
    placeholder: "MODE[@RFC3339]",
    default: None,
    form: "normal, warning, throttle, emergency or shutdown, optionally with @ and a time, e.g. \
           normal@2026-12-01T00:00:00Z",
    meaning: "A mode that applies whatever the cost, until a time if one is given",
};

/// Settings of the relay budget.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CostConfig {
    /// What a month may cost, in US dollars (`MONTHLY_BUDGET_USD`). The modes tighten as the
    /// projected cost comes near it; with a value that is too low, peers are refused that
    /// could have been relayed.
    pub monthly_budget_usd: f64,
    /// What a month costs without any traffic, in US dollars (`FIXED_MONTHLY_COST_USD`): machines,
    /// disks, addresses. If it is too low, the modes tighten too late.
    pub fixed_monthly_usd: f64,
    /// What a gigabyte (10^9 bytes) sent costs, in US dollars (`EGRESS_USD_PER_GB`). The default is
    /// the list price of the large clouds.
    pub egress_usd_per_gb: f64,
    /// Where the modes begin (`COST_THRESHOLDS_PERCENT`).
    pub thresholds: Thresholds,
    /// What each tier may use (`TIER_LIMITS`).
    pub tiers: TierTable,
    /// Whether peers choose their own tier (`TRUST_CLIENT_TIER`). For closed networks only: in an
    /// open one everybody would choose premium.
    pub trust_client_tier: bool,
    /// A mode that applies whatever the cost (`MODE_OVERRIDE`), as `MODE` or
    /// `MODE@2026-12-01T00:00:00Z`.
    pub mode_override: Option<ModeOverride>,
}

impl CostConfig {
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        settings.begin(SettingGroup::RelayBudget);
        Self {
            monthly_budget_usd: settings.decimal(&MONTHLY_BUDGET_USD),
            fixed_monthly_usd: settings.decimal(&FIXED_MONTHLY_COST_USD),
            egress_usd_per_gb: settings.decimal(&EGRESS_USD_PER_GB),
            thresholds: settings.parse(&COST_THRESHOLDS_PERCENT).unwrap_or_default(),
            tiers: settings.parse(&TIER_LIMITS).unwrap_or_default(),
            trust_client_tier: settings.parse(&TRUST_CLIENT_TIER).unwrap_or_default(),
            mode_override: settings.parse_optional(&MODE_OVERRIDE),
        }
    }
}

/// The ratios of projected cost to budget at which modes begin, ascending.
///
/// Lower ratios save money earlier. If two ratios are close to each other, the mode between them is
/// hardly ever used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds([f64; 4]);

impl Thresholds {
    /// The ratio at which `mode` begins.
    pub fn entry_ratio(&self, mode: CostMode) -> f64 {
        match mode {
            CostMode::Normal => 0.0,
            CostMode::Warning => self.0[0],
            CostMode::Throttle => self.0[1],
            CostMode::Emergency => self.0[2],
            CostMode::Shutdown => self.0[3],
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Self([0.70, 0.85, 0.95, 0.98])
    }
}

impl FromStr for Thresholds {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut ratios = [0.0; 4];
        let mut parts = text.split(',');
        for ratio in &mut ratios {
            let percent: f64 = parts.next().ok_or(())?.trim().parse().map_err(|_| ())?;
            *ratio = percent / 100.0;
        }
        let ascend = ratios.windows(2).all(|pair| pair[0] < pair[1]);
        let are_ratios = ratios.iter().all(|ratio| *ratio > 0.0 && *ratio <= 10.0);
        if parts.next().is_none() && ascend && are_ratios {
            Ok(Self(ratios))
        } else {
            Err(())
        }
    }
}

/// What a peer of one tier may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Bandwidth of a session, in Mbit/s.
    pub mbps: u32,
    /// Sessions of one peer at a time.
    pub sessions: u32,
}

/// What each tier may use; no tier has less than the one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierTable(EnumMap<Tier, TierLimits>);

impl TierTable {
    /// What peers of `tier` may use.
    pub fn of(&self, tier: Tier) -> TierLimits {
        self.0[tier]
    }
}

impl Default for TierTable {
    fn default() -> Self {
        let limits = |(mbps, sessions)| TierLimits { mbps, sessions };
        Self(EnumMap::from_array(
            [(5, 1), (10, 2), (50, 5), (100, 10)].map(limits),
        ))
    }
}

impl FromStr for TierTable {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut table = Self::default();
        for part in text.split(',') {
            let (tier, limits) = part.trim().split_once('=').ok_or(())?;
            let (mbps, sessions) = limits.split_once('/').ok_or(())?;
            let number = |text: &str| match text.parse() {
                Ok(number) if (1..=100_000).contains(&number) => Ok(number),
                _ => Err(()),
            };
            table.0[tier.parse::<Tier>().map_err(drop)?] = TierLimits {
                mbps: number(mbps)?,
                sessions: number(sessions)?,
            };
        }
        let ascend = table
            .0
            .as_slice()
            .windows(2)
            .all(|pair| pair[0].mbps <= pair[1].mbps && pair[0].sessions <= pair[1].sessions);
        if ascend { Ok(table) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_ascend() {
        let default = COST_THRESHOLDS_PERCENT.default.unwrap();
        assert_eq!(default.parse(), Ok(Thresholds::default()));
        assert_eq!("70, 85,95,98".parse(), Ok(Thresholds::default()));
        for wrong in [
            "",
            "70,85,95",
            "70,85,95,98,99",
            "85,70,95,98",
            "0,1,2,3",
            "a,b,c,d",
        ] {
            assert_eq!(wrong.parse::<Thresholds>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn no_tier_has_less_than_the_one_below_it() {
        let table: TierTable = TIER_LIMITS.default.unwrap().parse().unwrap();
        assert_eq!(table, TierTable::default());
        assert_eq!(
            "premium=200/20"
                .parse::<TierTable>()
                .unwrap()
                .of(Tier::Premium)
                .mbps,
            200
        );
        for wrong in [
            "",
            "gold=1/1",
            "free=5",
            "free=0/1",
            "free=20/1",
            "basic=10/6",
        ] {
            assert_eq!(wrong.parse::<TierTable>(), Err(()), "{wrong}");
        }
    }
}
