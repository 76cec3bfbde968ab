//! Decides what the observations mean for the node.
//!
//! Pure: every observation is a parameter.

use super::finding::Finding;
use crate::agent::client::explained::{is_other_protocol, wants_proxy_password};
use crate::agent::client::sanitize::{sanitize, with_causes};
use crate::agent::client::{ClientError, RefusalCode, TlsFault};
use crate::protocol::{
    ErrorCode, HealthResponse, HealthStatus, ListedPeer, RegisterRequest, RegisterResponse,
};

/// The name that a registry gives itself.
const SERVICE: &str = "peer-registry";
/// The length of a lease at a registry that does not say, in seconds.
const DEFAULT_LEASE_SECS: u32 = 600;
/// Clocks that differ by no more than this agree, in milliseconds.
const MAX_SKEW_MS: i64 = 30_000;

/// How far a request got that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It goes through this proxy.
    Proxy { address: String },
    /// The name could not be resolved.
    Name { host: String, reason: String },
    /// No connection could be opened.
    Connection { address: String, reason: String },
    /// A connection could be opened, but TLS comes next.
    Tls,
    /// The address says plain HTTP, but the server speaks TLS.
    TlsPort,
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

/// Judges the failure of a request to which any registry responds. `address` is the registry's, and
/// `has_password` says whether it has a user or a password.
pub(crate) fn judge_failure(
    error: &ClientError,
    stage: Stage,
    address: &str,
    has_password: bool,
) -> Finding {
    let reason = with_causes(error);
    match error {
        _ if is_throttle(error) => {
            return Finding::Throttled {
                code: error.code().cloned(),
                reason,
            };
        }
        _ if error.status() == Some(401) => return Finding::PasswordWanted { has_password },
        _ if error.status() == Some(407) || wants_proxy_password(error) => {
            let proxy = match stage {
                Stage::Proxy { address } => Some(address),
                _ => None,
            };
            return Finding::ProxyPasswordWanted { proxy };
        }
        ClientError::Refused { code, .. } if *code == ErrorCode::NotFound => {
            return Finding::WrongPath;
        }
        ClientError::NotARegistry {
            location: Some(to),
            moved_to,
            ..
        } if moved_to.is_some() || has_same_host(to, address) => {
            return Finding::Redirects {
                to: to.clone(),
                address: moved_to.clone(),
            };
        }
        _ => {}
    }
    match stage {
        Stage::TlsPort => Finding::SpeaksTls,
        Stage::Proxy { address: proxy } => Finding::ProxyFailed { proxy, reason },
        Stage::Name { host, reason } => Finding::NameUnknown { host, reason },
        Stage::Connection { address, reason } => Finding::NoConnection { address, reason },
        Stage::Tls if matches!(error, ClientError::Unreachable { .. }) => Finding::TlsFailed {
            fault: error.tls_fault().unwrap_or(TlsFault::Other),
            reason,
        },
        Stage::Tls | Stage::Exchange => judge_exchange(error, reason),
    }
}

/// Whether a registry, or a proxy, asks the node to wait. A page with 503 says that a proxy does not
/// reach the registry.
fn is_throttle(error: &ClientError) -> bool {
    error.is_throttled() && (error.code().is_some() || error.status() == Some(429))
}

/// Judges the failure of an exchange on an open connection.
fn judge_exchange(error: &ClientError, reason: String) -> Finding {
    match error {
        ClientError::Unreachable { .. } if is_other_protocol(error) => {
            Finding::OtherProtocol { reason }
        }
        ClientError::Timeout { .. } | ClientError::Unreachable { .. } => {
            Finding::NoAnswer { reason }
        }
        ClientError::NotARegistry {
            status: status @ 500..=599,
            ..
        } => Finding::GatewayFailed { status: *status },
        // Only a listing is long, and the caller handles that.
        ClientError::Refused { .. }
        | ClientError::NotARegistry { .. }
        | ClientError::TooLong { .. } => Finding::NotARegistry { reason },
    }
}

/// Whether the server sent something before it had a request, as servers of other protocols do.
pub(crate) fn spoke_first(error: &ClientError) -> bool {
    with_causes(error).contains("unexpected message")
}

/// Whether two addresses have the same host; a redirect to a path stays there too.
fn has_same_host(to: &str, address: &str) -> bool {
    let host = |address: &str| {
        let (_, rest) = address.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        Some(host.to_ascii_lowercase())
    };
    to.starts_with('/') || (host(to).is_some() && host(to) == host(address))
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
/// by then. `lease_secs` is the length of a lease; `None` if it is not known.
pub(crate) fn judge_listing(
    listed: Option<&ListedPeer>,
    now_ms: i64,
    announced: Option<&RegisterRequest>,
    lease_secs: Option<u32>,
) -> Finding {
    let is_assumed = lease_secs.is_none();
    let lease_secs = lease_secs.unwrap_or(DEFAULT_LEASE_SECS);
    let Some(peer) = listed else {
        return Finding::NotListed {
            revealing: announced.map(revealing).unwrap_or_default(),
        };
    };
    let renewed_ago_ms = now_ms.saturating_sub(peer.last_seen).max(0);
    match announced {
        Some(announced) if peer.addresses.is_empty() && !announced.addresses.is_empty() => {
            Finding::NoAddressLeft
        }
        Some(announced) if announced.addresses != peer.addresses => Finding::ListedOtherwise {
            addresses: peer.addresses.clone(),
        },
        _ if renewed_ago_ms > i64::from(lease_secs) * 1_000 / 2 => Finding::LeaseNearlyOut {
            renewed_ago_ms,
            lease_secs,
            is_assumed,
        },
        _ => Finding::Listed { renewed_ago_ms },
    }
}

/// Judges the response to the node's registration.
pub(crate) fn judge_registration(
    result: &Result<RegisterResponse, ClientError>,
    address: &str,
    has_password: bool,
) -> Finding {
    match result {
        Ok(response) => Finding::Accepted {
            lease_ms: response.expires_at.saturating_sub(response.last_seen),
            heartbeat_interval_secs: response.heartbeat_interval_secs,
        },
        Err(error) => judge_write_failure(error, address, has_password),
    }
}

/// Judges the failure of a registration, or of a heartbeat, at a registry that has responded before.
pub(crate) fn judge_write_failure(
    error: &ClientError,
    address: &str,
    has_password: bool,
) -> Finding {
    match error {
        ClientError::Refused { code, body, .. } => match code {
            RefusalCode::Known(ErrorCode::PrivacyViolation) => Finding::AddressRefused {
                message: body.error.clone(),
            },
            code => Finding::RegistrationRefused {
                code: code.clone(),
                message: body.error.clone(),
            },
        },
        ClientError::NotARegistry {
            status: status @ (403 | 404 | 405 | 413),
            ..
        } => Finding::ProxyRefuses { status: *status },
        error => judge_failure(error, Stage::Exchange, address, has_password),
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
