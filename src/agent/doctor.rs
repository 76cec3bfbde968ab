//! What stands between a node and its place in a registry, in plain words.
//!
//! Pure: what was seen is a parameter, and a [`Finding`] is what it means. `probe` goes and looks.

mod probe;
mod wording;

use super::error::ClientError;
use super::words;
use crate::protocol::{
    ErrorCode, HealthResponse, HealthStatus, ListedPeer, RegisterRequest, RegisterResponse,
};

pub use probe::{Subject, examine};

/// The name that a registry gives itself.
const SERVICE: &str = "peer-registry";
/// Clocks that differ by less than this harm nobody, in milliseconds.
const TOLERATED_SKEW_MS: i64 = 30_000;

/// One thing that was looked at, and what came of it; displayed, a sentence in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A registry answers, and can serve.
    Serves {
        /// The registry's version.
        version: String,
    },
    /// A registry answers, but cannot serve.
    CannotServe {
        /// What it says of itself.
        status: HealthStatus,
    },
    /// The registry, or what stands before it, asks to be left alone.
    Throttled {
        /// What was answered.
        reason: String,
    },
    /// The name in the registry's address has no IP address.
    NameUnknown {
        /// The name.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// Nothing takes connections at the registry's address, or no way leads there.
    NoConnection {
        /// The host and the port.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// A connection can be made, but not a trusted one.
    TlsFailed {
        /// What went wrong.
        reason: String,
    },
    /// A connection can be made, but no answer comes.
    NoAnswer {
        /// What went wrong.
        reason: String,
    },
    /// What answers is no registry.
    NotARegistry {
        /// What was answered.
        reason: String,
    },
    /// What answers is a registry, but not at this path.
    WrongPath,
    /// The clocks of the registry and of this node agree.
    ClockAgrees,
    /// The clocks of the registry and of this node do not agree.
    ClockDiffers {
        /// How far this node is ahead, in milliseconds; negative if it is behind.
        ahead_ms: i64,
    },
    /// The node is listed, and its lease was renewed in time.
    Listed {
        /// How long ago the lease was renewed, in milliseconds.
        renewed_ago_ms: i64,
    },
    /// The node is listed, but it has not renewed its lease for long.
    LeaseNearlyOut {
        /// How long ago the lease was renewed, in milliseconds.
        renewed_ago_ms: i64,
        /// How long a lease is taken to last, in seconds.
        lease_secs: u32,
    },
    /// The node is listed with other addresses than it means to announce.
    ListedOtherwise {
        /// The addresses that are listed.
        addresses: Vec<String>,
    },
    /// What the registry lists is too much to be read.
    ListingTooLong {
        /// What was answered.
        reason: String,
    },
    /// The node is not listed.
    NotListed {
        /// Addresses that a registry with the default policy would refuse.
        revealing: Vec<String>,
    },
    /// The registry took the node's registration.
    Accepted {
        /// How long the lease lasts, in milliseconds.
        lease_ms: i64,
        /// How often a heartbeat is wanted, in seconds.
        heartbeat_interval_secs: u64,
    },
    /// The registry refused the node's registration because of an address.
    AddressRefused {
        /// The registry's words.
        message: String,
    },
    /// The registry refused the node's registration for another reason.
    RegistrationRefused {
        /// The kind of fault.
        code: ErrorCode,
        /// The registry's words.
        message: String,
    },
}

/// What a [`Finding`] means for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Fine,
    /// Something is wrong, though the registry can be reached.
    Wrong,
    /// The registry cannot be reached.
    Unreachable,
}

/// How far a request got that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The name could not be resolved.
    Name { host: String, reason: String },
    /// No connection could be made.
    Connection { address: String, reason: String },
    /// A connection could be made, but then TLS has to follow.
    Tls,
    /// A connection could be made.
    Exchange,
}

impl Finding {
    /// What it means for the node.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Serves { .. }
            | Self::ClockAgrees
            | Self::Listed { .. }
            | Self::Accepted { .. } => Verdict::Fine,
            Self::CannotServe { .. }
            | Self::Throttled { .. }
            | Self::ClockDiffers { .. }
            | Self::LeaseNearlyOut { .. }
            | Self::ListedOtherwise { .. }
            | Self::ListingTooLong { .. }
            | Self::NotListed { .. }
            | Self::AddressRefused { .. }
            | Self::RegistrationRefused { .. } => Verdict::Wrong,
            Self::NameUnknown { .. }
            | Self::NoConnection { .. }
            | Self::TlsFailed { .. }
            | Self::NoAnswer { .. }
            | Self::NotARegistry { .. }
            | Self::WrongPath => Verdict::Unreachable,
        }
    }

    /// What became of a request that should tell how the registry is.
    fn of_health(health: &HealthResponse) -> Self {
        if health.service != SERVICE {
            let service = words::clean(&health.service);
            return Self::NotARegistry {
                reason: format!("it calls itself {service:?}"),
            };
        }
        match health.status {
            HealthStatus::Healthy => Self::Serves {
                version: words::clean(&health.version),
            },
            status => Self::CannotServe { status },
        }
    }

    /// What it means that a request failed that any registry would answer.
    fn of_failure(error: &ClientError, stage: Stage) -> Self {
        let reason = words::in_full(error);
        match error {
            _ if error.is_throttled() => Self::Throttled { reason },
            ClientError::Refused { body, .. } if body.code == ErrorCode::NotFound => {
                Self::WrongPath
            }
            // All that is asked for here is short, but for a listing.
            ClientError::Refused { .. }
            | ClientError::NotARegistry { .. }
            | ClientError::TooLong { .. } => Self::NotARegistry { reason },
            ClientError::Timeout { .. } | ClientError::Unreachable { .. } => match stage {
                Stage::Name { host, reason } => Self::NameUnknown { host, reason },
                Stage::Connection { address, reason } => Self::NoConnection { address, reason },
                Stage::Tls if matches!(error, ClientError::Unreachable { .. }) => {
                    Self::TlsFailed { reason }
                }
                Stage::Tls | Stage::Exchange => Self::NoAnswer { reason },
            },
        }
    }

    /// Compares the clocks: what this node's showed as it asked and as it had its answer, and what
    /// the registry's showed in between.
    fn of_clocks(asked_ms: i64, answered_ms: i64, registry_ms: i64) -> Self {
        let ahead_ms = if registry_ms < asked_ms {
            asked_ms - registry_ms
        } else {
            answered_ms.min(registry_ms) - registry_ms
        };
        if ahead_ms.abs() <= TOLERATED_SKEW_MS {
            Self::ClockAgrees
        } else {
            Self::ClockDiffers { ahead_ms }
        }
    }

    /// How the node is listed at `now_ms` of the registry's clock, held against what it means to
    /// announce.
    ///
    /// A lease is nearly out when half of it is over: a node that is well has sent two heartbeats
    /// by then. A listing does not tell how long leases last, so that is a parameter.
    fn of_listing(
        listed: Option<&ListedPeer>,
        now_ms: i64,
        announced: Option<&RegisterRequest>,
        lease_secs: u32,
    ) -> Self {
        let Some(peer) = listed else {
            return Self::NotListed {
                revealing: announced.map(revealing).unwrap_or_default(),
            };
        };
        let renewed_ago_ms = now_ms.saturating_sub(peer.last_seen).max(0);
        match announced {
            Some(announced) if announced.addresses != peer.addresses => Self::ListedOtherwise {
                addresses: peer.addresses.clone(),
            },
            _ if renewed_ago_ms > i64::from(lease_secs) * 1_000 / 2 => Self::LeaseNearlyOut {
                renewed_ago_ms,
                lease_secs,
            },
            _ => Self::Listed { renewed_ago_ms },
        }
    }

    /// What the registry made of the node's registration.
    fn of_registration(result: &Result<RegisterResponse, ClientError>) -> Self {
        match result {
            Ok(answer) => Self::Accepted {
                lease_ms: answer.expires_at.saturating_sub(answer.last_seen),
                heartbeat_interval_secs: answer.heartbeat_interval_secs,
            },
            Err(ClientError::Refused { body, .. }) => match body.code {
                ErrorCode::PrivacyViolation => Self::AddressRefused {
                    message: body.error.clone(),
                },
                code => Self::RegistrationRefused {
                    code,
                    message: body.error.clone(),
                },
            },
            Err(error) => Self::of_failure(error, Stage::Exchange),
        }
    }
}

/// The addresses that tell where the node is.
fn revealing(announced: &RegisterRequest) -> Vec<String> {
    let own = announced
        .crypto_ipv6
        .as_ref()
        .map(|address| format!("/ip6/{address}"));
    let is_own = |address: &str| {
        own.as_ref()
            .and_then(|own| address.strip_prefix(own))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut addresses = announced.addresses.clone();
    addresses.retain(|address| !is_own(address));
    addresses
}

#[cfg(test)]
mod tests;
