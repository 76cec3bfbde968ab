//! What relaying costs, how strict the registry is with it, and what operators set.

use std::str::FromStr;

use enum_map::Enum;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

use super::compatible::text_or_number;
use super::fields::Fields;
use super::receipt::Receipt;
use super::request::RequestBody;
use super::{Limits, RequestError};
use crate::clock::unix_ms;

/// The last millisecond that RFC 3339 can write.
const FOREVER_MS: i64 = 253_402_300_799_999;

/// How much a peer may relay, as the operator has decided; in ascending order.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Display,
    IntoStaticStr,
    EnumString,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Enum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Tier {
    /// Every peer for which the operator has set no tier.
    #[default]
    Free,
    /// More than `Free`.
    Basic,
    /// More than `Basic`.
    Standard,
    /// Refused last when money is short.
    Premium,
}

impl Tier {
    /// All tiers, in ascending order.
    pub const ALL: [Self; 4] = [Self::Free, Self::Basic, Self::Standard, Self::Premium];

    /// The tier on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Its priority: 1 for free to 4 for premium.
    pub const fn priority_level(self) -> u8 {
        self as u8 + 1
    }
}

/// How strict the registry is with relay capacity; in ascending order.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Display,
    IntoStaticStr,
    EnumString,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CostMode {
    /// The month will end well within the budget.
    #[default]
    Normal,
    /// Peers must have tried a direct connection first.
    Warning,
    /// Premium peers only.
    Throttle,
    /// Renewals of live premium sessions only.
    Emergency,
    /// No session is granted.
    Shutdown,
}

impl CostMode {
    /// All modes, in ascending order.
    pub const ALL: [Self; 5] = [
        Self::Normal,
        Self::Warning,
        Self::Throttle,
        Self::Emergency,
        Self::Shutdown,
    ];

    /// The mode on the wire and in settings.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// `PUT /admin/peers/{peerId}/tier`: the operator says what a peer may relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTierRequest {
    /// The tier; every peer begins with `free`.
    pub tier: Tier,
}

impl RequestBody for SetTierRequest {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        const FORM: &str = "free, basic, standard or premium";
        let mut fields = Fields::parse(body, limits)?;
        let tier = fields.word("tier", FORM)?;
        let tier = tier.ok_or_else(|| RequestError::missing("tier", FORM))?;
        Ok(Self { tier })
    }
}

/// `PUT /admin/spend`: the true cost, from a bill, which replaces what the registry computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetSpendRequest {
    /// What the month had cost by then, in US dollars, everything included.
    pub current_spend_usd: f64,
    /// The time up to which the bill counts, in Unix milliseconds; RFC 3339 on the wire.
    pub as_of: i64,
}

impl RequestBody for SetSpendRequest {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        const SPEND: &str = "a number of US dollars from 0 to 1000000000";
        let mut fields = Fields::parse(body, limits)?;
        let spend = fields.decimal("currentSpendUsd", 0.0..=1e9, SPEND)?;
        Ok(Self {
            current_spend_usd: spend
                .ok_or_else(|| RequestError::missing("currentSpendUsd", SPEND))?,
            as_of: fields
                .time("asOf")?
                .ok_or_else(|| RequestError::missing("asOf", Fields::TIME_FORM))?,
        })
    }
}

/// `PUT /admin/mode`: forces a mode for a while, or lets the budget decide again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetModeRequest {
    /// The mode to force and when it ends; `None` ends the present override.
    pub forced: Option<(CostMode, i64)>,
}

impl RequestBody for SetModeRequest {
    /// Parses a request body: `mode` and `until` (RFC 3339), or `mode` null.
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        const FORM: &str = "normal, warning, throttle, emergency, shutdown or null";
        let mut fields = Fields::parse(body, limits)?;
        // Elsewhere an empty string counts as null. Here a script whose variable is unset would end
        // the override.
        if fields.is_null("mode") {
            return Ok(Self { forced: None });
        }
        let mode = fields
            .word("mode", FORM)?
            .ok_or_else(|| RequestError::missing("mode", FORM))?;
        let until = fields
            .time("until")?
            .ok_or_else(|| RequestError::missing("until", Fields::TIME_FORM))?;
        Ok(Self {
            forced: Some((mode, until)),
        })
    }
}

/// A mode that is forced until a time, as the setting `MODE_OVERRIDE` spells it: `MODE` or
/// `MODE@RFC 3339`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeOverride {
    /// The mode.
    pub mode: CostMode,
    /// When it ends, in Unix milliseconds.
    pub until_ms: i64,
}

impl FromStr for ModeOverride {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (mode, until) = text.split_once('@').unwrap_or((text, ""));
        Ok(Self {
            mode: mode.parse().map_err(drop)?,
            until_ms: match until {
                "" if !text.contains('@') => FOREVER_MS,
                until => unix_ms(until).ok_or(())?,
            },
        })
    }
}

/// The response to each `PUT /admin/…`: the change is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdminResponse {
    /// Always true.
    pub success: bool,
    /// The mode that holds now.
    pub mode: CostMode,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// What the month costs, as in a response to an allocation; in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostInfo {
    /// The projected cost of the month divided by its budget.
    pub current_cost_ratio: f64,
    /// What the whole month will have cost.
    pub projected_monthly_cost: f64,
    /// The budget less what has been spent, not below 0.
    pub budget_remaining: f64,
}

/// What the month costs, as in a response to `GET /health`; in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCostInfo {
    /// The share of the budget that is spent, in percent, e.g. `7.5%`; from an earlier registry, the
    /// number in `budget_used_ratio`.
    #[serde(deserialize_with = "text_or_number")]
    pub budget_used: String,
    /// The spend divided by the budget. `None` from an earlier registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_used_ratio: Option<f64>,
    /// What the whole month will have cost, e.g. `$60.00`; from an earlier registry, the number in
    /// `projected_monthly_cost_usd`.
    #[serde(deserialize_with = "text_or_number")]
    pub projected_monthly_cost: String,
    /// The same as a number. `None` from an earlier registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_monthly_cost_usd: Option<f64>,
    /// The budget of the month, e.g. `$800.00`; from an earlier registry, the number in
    /// `budget_limit_usd`.
    #[serde(deserialize_with = "text_or_number")]
    pub budget_limit: String,
    /// The same as a number. `None` from an earlier registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_limit_usd: Option<f64>,
    /// The mode that holds now.
    pub mode: CostMode,
    /// Live TURN sessions.
    pub active_sessions: u64,
}

/// The response to `GET /cost-stats`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostStatsResponse {
    /// What the month costs.
    pub cost_metrics: CostMetrics,
    /// Live TURN sessions.
    pub session_stats: SessionStats,
    /// How strict the registry is.
    pub mode: ModeStats,
    /// Where the spend comes from.
    pub source: SpendSource,
    /// Since when it is counted: the beginning of the month, or the time of the bill. RFC 3339.
    pub since: String,
    /// Whether the bill is more than a day old; what was metered since then is added to it.
    pub is_stale: bool,
    /// Allocations since the process started.
    pub allocations: AllocationStats,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
}

/// Where the spend of the month comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpendSource {
    /// The registry has computed all of it.
    Metered,
    /// A bill that the operator sent, plus what was metered since.
    Bill,
}

/// What the month costs, in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostMetrics {
    /// What the month has cost so far.
    pub current_spend: f64,
    /// What the whole month will have cost.
    pub projected_monthly_spend: f64,
    /// The budget of the month.
    pub budget_limit: f64,
    /// The projection divided by the budget.
    pub cost_ratio: f64,
    /// When this was computed, RFC 3339.
    pub last_updated: String,
    /// The part of the spend that traffic causes.
    pub data_transfer_costs: f64,
    /// The fixed part of the spend, without traffic.
    pub compute_costs: f64,
}

/// Live TURN sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStats {
    /// All of them.
    pub total: u64,
    /// Those of premium peers.
    pub premium: u64,
    /// Those of each tier, by its name.
    pub by_tier: std::collections::BTreeMap<Tier, u64>,
}

/// How strict the registry is with relay capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModeStats {
    /// The name of the mode that holds.
    pub name: CostMode,
    /// The mode that the budget asks for; may differ from `name` while an operator forces a mode.
    pub budget_mode: CostMode,
    /// Whether the mode is `emergency` or `shutdown`.
    pub emergency: bool,
    /// Whether it is `shutdown`.
    pub shutdown: bool,
    /// The name of the mode that holds, again; from an earlier registry, the number in
    /// `threshold_ratio`.
    #[serde(deserialize_with = "text_or_number")]
    pub current_threshold: String,
    /// The cost ratio at which the present mode is entered; 0 for `normal`. `None` from an earlier
    /// registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_ratio: Option<f64>,
    /// Until when an operator forces the mode, RFC 3339; null if the budget decides.
    pub forced_until: Option<String>,
    /// Since when the budget has asked for its mode, RFC 3339.
    pub since: String,
}

/// Allocations since the process started, by their result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocationStats {
    /// Sessions granted and renewed.
    pub granted: u64,
    /// Refusals by their code.
    pub refused: std::collections::BTreeMap<String, u64>,
}
