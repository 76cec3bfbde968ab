//! Decides what the observations mean for the node.
//!
//! Pure: every observation is a parameter.

use super::finding::Finding;
use crate::agent::client::ClientError;
use crate::agent::client::sanitize::{sanitize, with_causes};
use crate::protocol::{
    ErrorCode, HealthResponse, HealthStatus, ListedPeer, RegisterRequest, RegisterResponse,
};

/// The name that a registry gives itself.
const SERVICE: &str = "peer-registry";
/// Clocks that differ by no more than this agree, in milliseconds.
const MAX_SKEW_MS: i64 = 30_000;

/// How far a request got that brought no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The name could not be resolved.
    Name { host: String, reason: String },
    /// No connection could be opened.
    Connection { address: String, reason: String },
    /// A connection could be opened, but TLS comes next.
    Tls,
    /// A connection could be opened; the exchange failed.
    Exchange,
}

/// Judges the response to `GET /health`.
pub(crate) fn judge_health(health: &HealthResponse) -> Finding {
    if health.service != SERVICE {
        let service = sanitize(&health.service);
        return Finding::NotARegistry {
            reason: format!("it calls itself {service:?}"),
        };
    }
    match health.status {
        HealthStatus::Healthy => Finding::Serves {
            version: sanitize(&health.version),
        },
        status => Finding::CannotServe { status },
    }
}

/// Judges the failure of a request to which any registry responds.
pub(crate) fn judge_failure(error: &ClientError, stage: Stage) -> Finding {
    let reason = with_causes(error);
    match error {
        _ if error.is_throttled() => Finding::Throttled { reason },
        ClientError::Refused { body, .. } if body.code == ErrorCode::NotFound => Finding::WrongPath,
        // Only a listing is long, and the caller handles that.
        ClientError::Refused { .. }
        | ClientError::NotARegistry { .. }
        | ClientError::TooLong { .. } => Finding::NotARegistry { reason },
        ClientError::Timeout { .. } | ClientError::Unreachable { .. } => match stage {
            Stage::Name { host, reason } => Finding::NameUnknown { host, reason },
            Stage::Connection { address, reason } => Finding::NoConnection { address, reason },
            Stage::Tls if matches!(error, ClientError::Unreachable { .. }) => {
                Finding::TlsFailed { reason }
            }
            Stage::Tls | Stage::Exchange => Finding::NoAnswer { reason },
        },
    }
}

/// Compares the clocks: this node's at the request and at the response, and the registry's in
/// between, all in Unix milliseconds.
pub(crate) fn judge_clocks(requested_ms: i64, received_ms: i64, registry_ms: i64) -> Finding {
    let ahead_ms = if registry_ms < requested_ms {
        requested_ms - registry_ms
    } else {
        received_ms.min(registry_ms) - registry_ms
    };
    if ahead_ms.abs() <= MAX_SKEW_MS {
        Finding::ClockAgrees
    } else {
        Finding::ClockDiffers { ahead_ms }
    }
}

/// Judges the node's entry in a listing of `now_ms` (Unix milliseconds) by the registry's clock, and
/// compares it with what the node announces.
///
/// A lease is nearly over when less than half of it is left: a healthy node has sent two heartbeats
/// by then. A listing does not say how long leases last, so `lease_secs` is a parameter.
pub(crate) fn judge_listing(
    listed: Option<&ListedPeer>,
    now_ms: i64,
    announced: Option<&RegisterRequest>,
    lease_secs: u32,
) -> Finding {
    let Some(peer) = listed else {
        return Finding::NotListed {
            revealing: announced.map(revealing).unwrap_or_default(),
        };
    };
    let renewed_ago_ms = now_ms.saturating_sub(peer.last_seen).max(0);
    match announced {
        Some(announced) if announced.addresses != peer.addresses => Finding::ListedOtherwise {
            addresses: peer.addresses.clone(),
        },
        _ if renewed_ago_ms > i64::from(lease_secs) * 1_000 / 2 => Finding::LeaseNearlyOut {
            renewed_ago_ms,
            lease_secs,
        },
        _ => Finding::Listed { renewed_ago_ms },
    }
}

/// Judges the response to the node's registration.
pub(crate) fn judge_registration(result: &Result<RegisterResponse, ClientError>) -> Finding {
    match result {
        Ok(response) => Finding::Accepted {
            lease_ms: response.expires_at.saturating_sub(response.last_seen),
            heartbeat_interval_secs: response.heartbeat_interval_secs,
        },
        Err(ClientError::Refused { body, .. }) => match body.code {
            ErrorCode::PrivacyViolation => Finding::AddressRefused {
                message: body.error.clone(),
            },
            code => Finding::RegistrationRefused {
                code,
                message: body.error.clone(),
            },
        },
        Err(error) => judge_failure(error, Stage::Exchange),
    }
}

/// The addresses that reveal where the node is.
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
