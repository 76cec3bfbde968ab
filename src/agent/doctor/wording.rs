//! What a finding says to people, and what they can do about it.

use std::fmt;

use super::Finding;
use crate::protocol::HealthStatus;

impl Finding {
    /// What to do about it; none if all is well.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Serves { .. }
            | Self::ClockAgrees
            | Self::Listed { .. }
            | Self::Accepted { .. } => return None,
            Self::CannotServe {
                status: HealthStatus::Draining,
            } => "wait: it is being stopped, and leases stand still until it is back",
            Self::CannotServe { .. } => {
                "tell its operator; leases stand still meanwhile, so nothing is lost"
            }
            Self::Throttled { .. } => {
                "try again later, and check that nothing on this network asks all the time"
            }
            Self::NameUnknown { .. } => {
                "check the spelling of the registry's address, and this machine's DNS"
            }
            Self::NoConnection { .. } => {
                "check the port, that the registry is running, and that no firewall is between"
            }
            Self::TlsFailed { .. } => {
                "check this machine's clock and certificates (ca-certificates), and whether the \
                 registry speaks plain HTTP there (http://)"
            }
            Self::NoAnswer { .. } => {
                "check that it is the registry's port, with https:// if it speaks TLS; else tell \
                 its operator"
            }
            Self::NotARegistry { .. } => {
                "check the registry's address; a captive portal or a proxy may have answered"
            }
            Self::WrongPath => "check the path in the registry's address; most have none",
            Self::ClockDiffers { .. } => {
                "set this machine's clock, e.g. by NTP; leases do not depend on it, certificates \
                 and the age of what is listed do"
            }
            Self::LeaseNearlyOut { .. } => {
                "check that the node is running and sends heartbeats, or run peer-agent beside \
                 it; if leases last longer at this registry, say so (--lease-secs)"
            }
            Self::ListedOtherwise { .. } => {
                "restart the node to announce its addresses again; registering (doctor --register) \
                 shows whether the registry takes them"
            }
            Self::ListingTooLong { .. } => {
                "tell its operator that its pages are too long (MAX_LISTED); heartbeats do not \
                 depend on them"
            }
            Self::NotListed { revealing } if !revealing.is_empty() => {
                "start the node, or see whether the registry takes its addresses: many refuse all \
                 but a crypto-IPv6 (doctor --register)"
            }
            Self::NotListed { .. } => {
                "start the node, or see whether the registry takes its registration (doctor \
                 --register)"
            }
            Self::AddressRefused { .. } => {
                "announce the crypto-IPv6 address only (the default), or use a registry with \
                 another address policy"
            }
            Self::RegistrationRefused { .. } => "change what the registry names",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves { version } => write!(f, "a peer-registry {version} answers and serves"),
            Self::CannotServe { status } => match status {
                HealthStatus::Starting => {
                    f.write_str("the registry has just been started and reads its database")
                }
                HealthStatus::Draining => f.write_str("the registry is shutting down"),
                _ => f.write_str("the registry cannot write, and says that it is degraded"),
            },
            Self::Throttled { reason } => write!(f, "the registry asks for patience: {reason}"),
            Self::NameUnknown { host, reason } => {
                write!(f, "the name {host} does not resolve: {reason}")
            }
            Self::NoConnection { address, reason } => {
                write!(f, "no connection to {address}: {reason}")
            }
            Self::TlsFailed { reason } => write!(f, "no trusted connection (TLS): {reason}"),
            Self::NoAnswer { reason } => write!(f, "connected, but no answer comes: {reason}"),
            Self::NotARegistry { reason } => {
                write!(f, "what answers is not a peer-registry: {reason}")
            }
            Self::WrongPath => f.write_str("a peer-registry answers, but not at this path"),
            Self::ClockAgrees => f.write_str("this node's clock agrees with the registry's"),
            Self::ClockDiffers { ahead_ms } => {
                let (secs, way) = match *ahead_ms {
                    ahead_ms @ 0.. => (ahead_ms / 1_000, "ahead of"),
                    behind_ms => (-(behind_ms / 1_000), "behind"),
                };
                write!(f, "this node's clock is {secs} s {way} the registry's")
            }
            Self::Listed { renewed_ago_ms } => {
                let secs = renewed_ago_ms / 1_000;
                write!(
                    f,
                    "the node is registered; its lease was renewed {secs} s ago"
                )
            }
            Self::LeaseNearlyOut {
                renewed_ago_ms,
                lease_secs,
            } => write!(
                f,
                "the node's lease is nearly out: it was renewed {} s ago, and more than half is \
                 over if leases last {lease_secs} s here, which no listing tells",
                renewed_ago_ms / 1_000
            ),
            Self::ListedOtherwise { addresses } => write!(
                f,
                "the node is registered with other addresses than its settings say: {}",
                addresses.join(", ")
            ),
            Self::ListingTooLong { reason } => write!(
                f,
                "the registry answers, but its listing is too long to look the node up: {reason}"
            ),
            Self::NotListed { revealing } if !revealing.is_empty() => write!(
                f,
                "the node is not registered, and would announce where it is: {}",
                revealing.join(", ")
            ),
            Self::NotListed { .. } => f.write_str("the node is not registered"),
            // Older registries tell neither.
            Self::Accepted { lease_ms: ..=0, .. } => {
                f.write_str("the registry took the registration")
            }
            Self::Accepted {
                lease_ms,
                heartbeat_interval_secs,
            } => write!(
                f,
                "the registry took the registration: a lease of {} s, a heartbeat every \
                 {heartbeat_interval_secs} s",
                lease_ms / 1_000
            ),
            Self::AddressRefused { message } => {
                write!(
                    f,
                    "the registry's address policy refuses the node: {message}"
                )
            }
            Self::RegistrationRefused { code, message } => {
                write!(
                    f,
                    "the registry refuses the registration ({code}): {message}"
                )
            }
        }
    }
}
