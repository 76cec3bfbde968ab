//! The outcome of a request, and what to report to the node about it.

use std::time::Duration;

use super::terms::Terms;
use crate::agent::client::RefusalCode;

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The lease is renewed.
    Accepted(Terms),
    /// The registry does not know the peer.
    PeerNotFound,
    /// The registry, or a proxy in front of it, asks the node to wait.
    Throttled {
        retry_after: Option<Duration>,
        /// The code that the registry gave; `None` if it was a proxy.
        code: Option<RefusalCode>,
    },
    /// The registry refuses this registration.
    Refused { code: RefusalCode, message: String },
    /// There is no response, or one that no registry sends.
    Failed { reason: String },
}

impl Outcome {
    /// Whether the registry itself has responded. A registry never says "not found" to a
    /// registration.
    pub(crate) fn is_of_registry(&self, to_registration: bool) -> bool {
        match self {
            Self::Accepted(_) | Self::Refused { .. } => true,
            Self::PeerNotFound => !to_registration,
            Self::Throttled { code, .. } => code.is_some(),
            Self::Failed { .. } => false,
        }
    }
}

/// What to report to the node about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Registered,
    Reregistered,
    Renewed,
    Lost,
    Throttled,
    Refused,
    Unreachable,
    /// The registry responds again.
    Reachable {
        gone_ms: i64,
    },
}
