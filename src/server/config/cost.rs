//! What relaying may cost, and who may relay how much.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::protocol::{CostMode, ModeOverride, Tier};

/// Settings of the relay budget.
#[derive(Clone, Debug, PartialEq)]
pub struct CostConfig {
    /// What a month may cost, in US dollars. Default 800, `MONTHLY_BUDGET_USD`. The modes tighten
    /// as the projected cost comes near it; too low refuses peers that could be paid for.
    pub monthly_budget_usd: f64,
    /// What a month costs without any traffic, in US dollars. Default 60,
    /// `FIXED_MONTHLY_COST_USD`: machines, disks, addresses. Too low finds the bill out late.
    pub fixed_monthly_usd: f64,
    /// What a gigabyte (10^9 bytes) sent costs, in US dollars. Default 0.09, `EGRESS_USD_PER_GB`,
    /// the list price of the large clouds.
    pub egress_usd_per_gb: f64,
    /// Where the modes begin.
    pub thresholds: Thresholds,
    /// What each tier may have.
    pub tiers: TierTable,
    /// Whether peers choose their own tier. Default false, `TRUST_CLIENT_TIER`. For closed
    /// networks only: in an open one everybody is premium then.
    pub trust_client_tier: bool,
    /// A mode that holds whatever the cost. Default none, `MODE_OVERRIDE`, as `MODE` or
    /// `MODE@2026-12-01T00:00:00Z`.
    pub mode_override: Option<ModeOverride>,
}

/// The ratios of projected cost to budget at which modes begin, ascending.
///
/// Default 70, 85, 95 and 98 percent, `COST_THRESHOLDS_PERCENT=70,85,95,98`. Lower ones save
/// earlier; ones close together skip the steps between.
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

/// What a peer of one tier may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Bandwidth of a session, in Mbit/s.
    pub mbps: u32,
    /// Sessions of one peer at a time.
    pub sessions: u32,
}

/// What each tier may have; no tier has less than the one below it.
///
/// Default `TIER_LIMITS=free=5/1,basic=10/2,standard=50/5,premium=100/10`, in Mbit/s and sessions
/// per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierTable([TierLimits; 4]);

impl TierTable {
    /// What peers of `tier` may have.
    pub fn of(&self, tier: Tier) -> TierLimits {
        self.0[tier as usize]
    }
}

impl Default for TierTable {
    fn default() -> Self {
        let limits = |(mbps, sessions)| TierLimits { mbps, sessions };
        Self([(5, 1), (10, 2), (50, 5), (100, 10)].map(limits))
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
            table.0[tier.parse::<Tier>().map_err(drop)? as usize] = TierLimits {
                mbps: number(mbps)?,
                sessions: number(sessions)?,
            };
        }
        let ascend = table
            .0
            .windows(2)
            .all(|pair| pair[0].mbps <= pair[1].mbps && pair[0].sessions <= pair[1].sessions);
        if ascend { Ok(table) } else { Err(()) }
    }
}

/// Something that nobody but its owner may read: it is in no log, error or `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The secret as it is.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The secret without blanks around it, if anything is left.
    pub(super) fn trimmed(&self) -> Option<Self> {
        let text = self.0.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The secrets in a comma-separated list.
    pub fn split(&self) -> impl Iterator<Item = Self> {
        let parts = self.0.split(',').map(str::trim);
        parts
            .filter(|part| !part.is_empty())
            .map(|part| Self(part.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_debug_output() {
        let secret: Secret = "s3cr3t".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn thresholds_ascend() {
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
        let table: TierTable = "free=5/1,basic=10/2,standard=50/5,premium=100/10"
            .parse()
            .unwrap();
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
