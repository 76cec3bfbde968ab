//! What a finding says, and what to do about it, in plain English.

use std::fmt::{self, Formatter};

use super::finding::Finding;
use crate::protocol::HealthStatus;

const WAIT_FOR_RESTART: &str = "wait: it is being stopped, and leases stand still until it is back";
const WAIT_FOR_OPERATOR: &str =
    "tell its operator; leases stand still meanwhile, so nothing is lost";
const ASK_LESS: &str =
    "try again later, and check that nothing on this network sends requests all the time";
const CHECK_NAME: &str = "check the spelling of the registry's address, and this machine's DNS";
const CHECK_PORT: &str =
    "check the port, that the registry is running, and that no firewall is between";
const CHECK_TLS: &str = "check this machine's clock and certificates (ca-certificates), and whether the registry speaks \
     plain HTTP there (http://)";
const CHECK_SCHEME: &str = "check that it is the registry's port, with https:// if it speaks TLS; otherwise tell its operator";
const CHECK_ADDRESS: &str =
    "check the registry's address; a captive portal or a proxy may have answered";
const CHECK_PATH: &str = "check the path in the registry's address; most have none";
const SET_CLOCK: &str = "set this machine's clock, e.g. by NTP; leases do not depend on it, certificates and the age of \
     what is listed do";
const CHECK_HEARTBEATS: &str = "check that the node is running and sends heartbeats, or run peer-agent beside it; if leases \
     last longer at this registry, say so (--lease-secs)";
const ANNOUNCE_AGAIN: &str = "restart the node to announce its addresses again; registering (doctor --register) shows \
     whether the registry takes them";
const SHORTEN_PAGES: &str =
    "tell its operator that its pages are too long (MAX_LISTED); heartbeats do not depend on them";
const TRY_ADDRESSES: &str = "start the node, or see whether the registry takes its addresses: many refuse all but a \
     crypto-IPv6 (doctor --register)";
const TRY_REGISTRATION: &str =
    "start the node, or see whether the registry takes its registration (doctor --register)";
const HIDE_ADDRESSES: &str = "announce the crypto-IPv6 address only (the default), or use a registry with another address \
     policy";
const CHANGE_REGISTRATION: &str = "change what the registry names";

impl Finding {
    /// What to do about the finding; `None` if nothing is wrong.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Serves { .. }
            | Self::ClockAgrees
            | Self::Listed { .. }
            | Self::Accepted { .. } => return None,
            Self::CannotServe {
                status: HealthStatus::Draining,
            } => WAIT_FOR_RESTART,
            Self::CannotServe { .. } => WAIT_FOR_OPERATOR,
            Self::Throttled { .. } => ASK_LESS,
            Self::NameUnknown { .. } => CHECK_NAME,
            Self::NoConnection { .. } => CHECK_PORT,
            Self::TlsFailed { .. } => CHECK_TLS,
            Self::NoAnswer { .. } => CHECK_SCHEME,
            Self::NotARegistry { .. } => CHECK_ADDRESS,
            Self::WrongPath => CHECK_PATH,
            Self::ClockDiffers { .. } => SET_CLOCK,
            Self::LeaseNearlyOut { .. } => CHECK_HEARTBEATS,
            Self::ListedOtherwise { .. } => ANNOUNCE_AGAIN,
            Self::ListingTooLong { .. } => SHORTEN_PAGES,
            Self::NotListed { revealing } if !revealing.is_empty() => TRY_ADDRESSES,
            Self::NotListed { .. } => TRY_REGISTRATION,
            Self::AddressRefused { .. } => HIDE_ADDRESSES,
            Self::RegistrationRefused { .. } => CHANGE_REGISTRATION,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves { version } => write!(f, "a peer-registry {version} answers and serves"),
            Self::CannotServe { status } => f.write_str(cannot_serve(*status)),
            Self::Throttled { reason } => {
                write!(f, "the registry asks this node to wait: {reason}")
            }
            Self::NameUnknown { host, reason } => {
                write!(f, "the name {host} does not resolve: {reason}")
            }
            Self::NoConnection { address, reason } => {
                write!(f, "no connection to {address}: {reason}")
            }
            Self::TlsFailed { reason } => write!(f, "no trusted connection (TLS): {reason}"),
            Self::NoAnswer { reason } => write!(f, "connected, but there is no response: {reason}"),
            Self::NotARegistry { reason } => {
                write!(f, "what answers is not a peer-registry: {reason}")
            }
            Self::WrongPath => f.write_str("a peer-registry answers, but not at this path"),
            Self::ClockAgrees => f.write_str("this node's clock agrees with the registry's"),
            Self::ClockDiffers { ahead_ms } => write_skew(f, *ahead_ms),
            Self::Listed { renewed_ago_ms } => write_listed(f, *renewed_ago_ms),
            Self::LeaseNearlyOut {
                renewed_ago_ms,
                lease_secs,
            } => write_nearly_out(f, *renewed_ago_ms, *lease_secs),
            Self::ListedOtherwise { addresses } => write!(
                f,
                "the node is registered with other addresses than its settings say: {}",
                addresses.join(", ")
            ),
            Self::ListingTooLong { reason } => write!(
                f,
                "the registry answers, but its listing is too long to look the node up: {reason}"
            ),
            Self::NotListed { revealing } => write_not_listed(f, revealing),
            Self::Accepted {
                lease_ms,
                heartbeat_interval_secs,
            } => write_accepted(f, *lease_ms, *heartbeat_interval_secs),
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

fn cannot_serve(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Starting => "the registry has just been started and reads its database",
        HealthStatus::Draining => "the registry is shutting down",
        _ => "the registry cannot write, and says that it is degraded",
    }
}

fn write_skew(f: &mut Formatter<'_>, ahead_ms: i64) -> fmt::Result {
    let (secs, direction) = match ahead_ms {
        0.. => (ahead_ms / 1_000, "ahead of"),
        _ => (-(ahead_ms / 1_000), "behind"),
    };
    write!(
        f,
        "this node's clock is {secs} s {direction} the registry's"
    )
}

fn write_listed(f: &mut Formatter<'_>, renewed_ago_ms: i64) -> fmt::Result {
    let secs = renewed_ago_ms / 1_000;
    write!(
        f,
        "the node is registered; its lease was renewed {secs} s ago"
    )
}

fn write_nearly_out(f: &mut Formatter<'_>, renewed_ago_ms: i64, lease_secs: u32) -> fmt::Result {
    let secs = renewed_ago_ms / 1_000;
    write!(
        f,
        "the node's lease is nearly out: it was renewed {secs} s ago, and more than half is over if \
         leases last {lease_secs} s here, which no listing says"
    )
}

fn write_not_listed(f: &mut Formatter<'_>, revealing: &[String]) -> fmt::Result {
    f.write_str("the node is not registered")?;
    if revealing.is_empty() {
        return Ok(());
    }
    let addresses = revealing.join(", ");
    write!(f, ", and would announce where it is: {addresses}")
}

fn write_accepted(
    f: &mut Formatter<'_>,
    lease_ms: i64,
    heartbeat_interval_secs: u64,
) -> fmt::Result {
    f.write_str("the registry took the registration")?;
    // Older registries do not say how long the lease lasts.
    if lease_ms <= 0 {
        return Ok(());
    }
    let secs = lease_ms / 1_000;
    write!(
        f,
        ": a lease of {secs} s, a heartbeat every {heartbeat_interval_secs} s"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::doctor::Verdict;
    use crate::protocol::ErrorCode;

    #[test]
    fn only_good_findings_have_no_advice() {
        let reason = || "r".to_owned();
        let findings = [
            Finding::Serves { version: reason() },
            Finding::CannotServe {
                status: HealthStatus::Draining,
            },
            Finding::CannotServe {
                status: HealthStatus::Degraded,
            },
            Finding::Throttled { reason: reason() },
            Finding::NameUnknown {
                host: reason(),
                reason: reason(),
            },
            Finding::NoConnection {
                address: reason(),
                reason: reason(),
            },
            Finding::TlsFailed { reason: reason() },
            Finding::NoAnswer { reason: reason() },
            Finding::NotARegistry { reason: reason() },
            Finding::ListingTooLong { reason: reason() },
            Finding::WrongPath,
            Finding::ClockAgrees,
            Finding::ClockDiffers { ahead_ms: 40_000 },
            Finding::Listed { renewed_ago_ms: 0 },
            Finding::LeaseNearlyOut {
                renewed_ago_ms: 400_000,
                lease_secs: 600,
            },
            Finding::ListedOtherwise { addresses: vec![] },
            Finding::NotListed { revealing: vec![] },
            Finding::Accepted {
                lease_ms: 600_000,
                heartbeat_interval_secs: 120,
            },
            Finding::AddressRefused { message: reason() },
            Finding::RegistrationRefused {
                code: ErrorCode::InvalidField,
                message: reason(),
            },
        ];
        for finding in findings {
            let is_fine = finding.verdict() == Verdict::Fine;
            assert_eq!(finding.advice().is_none(), is_fine, "{finding}");
        }
    }
}
