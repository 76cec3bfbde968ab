//! Which peers are relayed, with how much bandwidth and for how long.

use crate::protocol::{AllocateTurnRequest, CostMode, ErrorCode, Tier};
use crate::server::config::TierTable;
use crate::server::model::TurnSession;
use crate::server::policy::cost::ModeLimits;

/// One peer may hold at most one part of this many equal parts of the granted bandwidth.
const SHARE_PARTS: u64 = 4;

/// A report counts up to this multiple of what was granted.
const CREDIBLE_TIMES: i64 = 2;

/// The bytes that are counted when a session is reported to have relayed `reported_bytes`.
///
/// A report cannot be trusted, because anybody can offer to relay and be granted sessions. It may
/// exceed what was granted, because not all TURN servers enforce the grant. But it is capped, so that
/// one stranger cannot use up the budget.
pub(crate) fn credible_bytes(session: &TurnSession, reported_bytes: i64, now_ms: i64) -> i64 {
    // A session counts as at least one millisecond long, the resolution of the clock.
    let granted_bytes = session.granted_bytes(now_ms).max(session.bytes_per_ms());
    reported_bytes.min(granted_bytes.saturating_mul(CREDIBLE_TIMES))
}

/// What a peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AllocationRequest {
    /// The tier that applies to it.
    pub tier: Tier,
    /// The bandwidth that it needs, in Mbit/s.
    pub mbps: u32,
    /// Whether it has tried a direct connection.
    pub p2p_attempted: bool,
    /// The tier of the live session that it renews, if it renews one.
    pub renewed: Option<Tier>,
}

/// What is granted already, without the session that is to be renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GrantedCapacity {
    /// Live sessions of the peer that asks.
    pub own_sessions: u32,
    /// Their bandwidth, in Mbit/s.
    pub own_mbps: u64,
    /// The bandwidth of all other peers' live sessions, in Mbit/s.
    pub other_mbps: u64,
    /// Live premium sessions of all peers.
    pub premium_sessions: u32,
}

/// What a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The tier that it was granted to.
    pub tier: Tier,
    /// Bandwidth, in Mbit/s.
    pub mbps: u32,
    /// How long it lasts unless it is renewed, in seconds.
    pub duration_secs: u64,
}

/// The reason why nothing is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No direct connection was tried.
    AttemptP2pFirst,
    /// The tier is too low.
    PremiumOnly,
    /// It is not a renewal of a premium session.
    RenewalsOnly,
    /// The peer has the maximum number of sessions of its tier.
    SessionLimit {
        /// The maximum.
        allowed: u32,
    },
    /// The maximum number of premium sessions is live.
    PremiumSessionLimit {
        /// The maximum.
        allowed: u32,
    },
    /// The peer holds the maximum bandwidth of one peer.
    BandwidthShare {
        /// The maximum, in Mbit/s.
        allowed_mbps: u64,
    },
    /// The peer was granted the maximum number of new sessions in the last minute.
    TooOften {
        /// The maximum in a minute.
        allowed: usize,
    },
    /// No TURN server has room for it.
    NoTurnServer,
    /// The mode is `shutdown`: no peer is granted anything.
    Shutdown,
}

impl Refusal {
    /// The code of the refusal on the wire.
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            Self::AttemptP2pFirst => ErrorCode::AttemptP2pFirst,
            Self::PremiumOnly => ErrorCode::PremiumOnly,
            Self::RenewalsOnly => ErrorCode::RenewalsOnly,
            Self::SessionLimit { .. } => ErrorCode::SessionLimit,
            Self::PremiumSessionLimit { .. } => ErrorCode::PremiumSessionLimit,
            Self::BandwidthShare { .. } => ErrorCode::BandwidthShare,
            Self::TooOften { .. } => ErrorCode::Throttled,
            Self::NoTurnServer => ErrorCode::NoTurnServer,
            Self::Shutdown => ErrorCode::RelayShutdown,
        }
    }
}

/// The tier that applies to a peer: the one that the operator has set, which the peer itself can only
/// lower, unless peers are trusted to choose.
pub(crate) fn tier_of(set: Tier, request: &AllocateTurnRequest, trusts_peers: bool) -> Tier {
    let AllocateTurnRequest {
        user_tier,
        is_premium,
        ..
    } = request;
    if trusts_peers {
        return match (user_tier, is_premium) {
            (_, Some(true)) => Tier::Premium,
            (Some(tier), _) => *tier,
            (None, _) => set,
        };
    }
    let claimed = user_tier.unwrap_or(Tier::Premium);
    let max = match is_premium {
        Some(false) => Tier::Standard,
        _ => Tier::Premium,
    };
    set.min(claimed).min(max)
}

/// Grants what a peer asks for, as far as its tier, the mode and the other peers allow.
///
/// # Errors
/// The first limit that the request exceeds.
pub(crate) fn decide(
    ask: AllocationRequest,
    standing: GrantedCapacity,
    mode: CostMode,
    tiers: &TierTable,
) -> Result<Grant, Refusal> {
    let limits = ModeLimits::of(mode);
    if limits.grants_nothing {
        return Err(Refusal::Shutdown);
    }
    if limits.renews_only && ask.renewed != Some(Tier::Premium) {
        return Err(Refusal::RenewalsOnly);
    }
    if ask.tier < limits.min_tier {
        return Err(Refusal::PremiumOnly);
    }
    // A peer that renews a session has tried before. A refusal would cut its connections.
    let has_tried = ask.p2p_attempted || ask.renewed.is_some();
    if limits.needs_p2p_attempt && !has_tried {
        return Err(Refusal::AttemptP2pFirst);
    }
    let tier = tiers.of(ask.tier);
    if standing.own_sessions >= tier.sessions {
        return Err(Refusal::SessionLimit {
            allowed: tier.sessions,
        });
    }
    if let Some(allowed) = limits.premium_sessions
        && standing.premium_sessions >= allowed
    {
        return Err(Refusal::PremiumSessionLimit { allowed });
    }
    let mut mbps = ask.mbps.max(1).min(tier.mbps);
    if let Some(max_mbps) = limits.max_mbps {
        mbps = mbps.min(max_mbps);
    }
    if limits.shares_bandwidth {
        let allowed_mbps = share_mbps(standing, tiers);
        match allowed_mbps.saturating_sub(standing.own_mbps) {
            0 => return Err(Refusal::BandwidthShare { allowed_mbps }),
            left_mbps => mbps = mbps.min(u32::try_from(left_mbps).unwrap_or(mbps)),
        }
    }
    Ok(Grant {
        tier: ask.tier,
        mbps,
        duration_secs: limits.duration_secs,
    })
}

/// The maximum bandwidth that the peer may hold, its new session included, so that it holds at most a
/// quarter of all. While little is granted, a quarter of it would be too little to use, so each
/// peer may always hold the bandwidth of a free session.
fn share_mbps(standing: GrantedCapacity, tiers: &TierTable) -> u64 {
    (standing.other_mbps / (SHARE_PARTS - 1)).max(tiers.of(Tier::Free).mbps.into())
}

#[cfg(test)]
mod tests;
