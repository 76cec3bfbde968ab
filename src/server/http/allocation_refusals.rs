//! What a refused allocation says on the wire.

use crate::protocol::CostMode;
use crate::server::policy::allocation::Refusal;

/// The parts of the response that the reason determines, besides its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusalParts {
    /// The limit that was hit, in camelCase.
    pub(crate) limit: &'static str,
    /// What the limit allows.
    pub(crate) allowed: Option<u64>,
    /// The minimum time before the next request, in seconds.
    pub(crate) retry_after_secs: u64,
    pub(crate) message: String,
}

/// The one table from reasons to the parts of the response.
pub(crate) fn parts_of(refusal: Refusal, mode: CostMode) -> RefusalParts {
    /// A server or a direct connection may be there soon.
    const SOON_SECS: u64 = 30;
    /// A session of the peer may end.
    const SESSION_SECS: u64 = 60;
    /// The mode may change.
    const MODE_SECS: u64 = 600;
    const SHUTDOWN_SECS: u64 = 3600;
    let (limit, allowed, retry_after_secs, message) = match refusal {
        Refusal::AttemptP2pFirst => (
            "p2pAttempted",
            None,
            SOON_SECS,
            format!(
                "p2pAttempted must be true: in mode {mode} a direct connection must be tried first"
            ),
        ),
        Refusal::PremiumOnly => (
            "leastTier",
            None,
            MODE_SECS,
            format!("only premium peers are relayed in mode {mode}"),
        ),
        Refusal::RenewalsOnly => (
            "newSessions",
            Some(0),
            MODE_SECS,
            format!("only live premium sessions are renewed in mode {mode}"),
        ),
        Refusal::SessionLimit { allowed } => (
            "sessionsPerPeer",
            Some(allowed.into()),
            SESSION_SECS,
            format!("the peer holds {allowed} TURN sessions, the maximum of its tier"),
        ),
        Refusal::PremiumSessionLimit { allowed } => (
            "premiumSessions",
            Some(allowed.into()),
            SESSION_SECS,
            format!("{allowed} premium sessions are live, the maximum in mode {mode}"),
        ),
        Refusal::BandwidthShare { allowed_mbps } => (
            "bandwidthShareMbps",
            Some(allowed_mbps),
            SESSION_SECS,
            format!(
                "the peer holds {allowed_mbps} Mbit/s, the maximum for a single peer in mode {mode}"
            ),
        ),
        Refusal::TooOften { allowed } => (
            "newSessionsPerMinute",
            Some(allowed as u64),
            SESSION_SECS,
            format!(
                "the peer was granted {allowed} new TURN sessions in the last minute, the maximum \
                 for one peer"
            ),
        ),
        Refusal::NoTurnServer => (
            "turnServersWithRoom",
            Some(0),
            SOON_SECS,
            "no TURN server has room".to_owned(),
        ),
        Refusal::Shutdown => (
            "sessions",
            Some(0),
            SHUTDOWN_SECS,
            format!("nothing is relayed in mode {mode}"),
        ),
    };
    RefusalParts {
        limit,
        allowed,
        retry_after_secs,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_may_end_soon_has_a_short_wait() {
        let secs = |refusal| parts_of(refusal, CostMode::Warning).retry_after_secs;
        assert_eq!(secs(Refusal::AttemptP2pFirst), 30);
        assert_eq!(secs(Refusal::Shutdown), 3600);
    }
}
