//! What a finding says, in plain English.

use std::fmt::{self, Formatter};

use super::finding::Finding;
use crate::agent::client::RefusalCode;
use crate::protocol::{DroppedField, ErrorCode, HealthStatus};

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serves { version } => write!(f, "a peer-registry {version} answers and serves"),
            Self::CannotServe { status } => f.write_str(cannot_serve(*status)),
            Self::Throttled {
                code: Some(RefusalCode::Known(ErrorCode::RegistryFull)),
                reason,
            } => write!(f, "the registry is full: {reason}"),
            Self::Throttled { reason, .. } => {
                write!(f, "the registry asks this node to wait: {reason}")
            }
            Self::NameUnknown { host, reason } => {
                write!(f, "the name {host} does not resolve: {reason}")
            }
            Self::NoConnection { address, reason } => {
                write!(f, "no connection to {address}: {reason}")
            }
            Self::TlsFailed { reason, .. } => write!(f, "no trusted connection (TLS): {reason}"),
            Self::SpeaksTls => f.write_str(
                "the server at this port speaks TLS, but the address begins with http://",
            ),
            Self::OtherProtocol { reason } => {
                write!(f, "what answers does not speak HTTP: {reason}")
            }
            Self::ProxyFailed { proxy, reason } => {
                write!(f, "the request through the proxy {proxy} failed: {reason}")
            }
            Self::ProxyPasswordWanted { proxy: Some(proxy) } => {
                write!(f, "the proxy {proxy} wants a user and a password (407)")
            }
            Self::ProxyPasswordWanted { .. } => {
                f.write_str("a proxy wants a user and a password (407)")
            }
            Self::ProxyMalformed { variable } => {
                write!(f, "{variable} does not hold the address of a proxy")
            }
            Self::GatewayFailed { status } => write!(
                f,
                "a proxy or a web server answers {status}, since the registry behind it does not"
            ),
            Self::Redirects {
                to,
                address: Some(address),
            } => write!(
                f,
                "the server redirects to {to}, so the registry may be at {address}"
            ),
            Self::Redirects { to, .. } => write!(f, "the server redirects to {to}"),
            Self::PasswordWanted { has_password: true } => {
                f.write_str("the server does not accept the user and the password (401)")
            }
            Self::PasswordWanted { .. } => {
                f.write_str("the server wants a user and a password (401)")
            }
            Self::NoAnswer { reason } => write!(f, "connected, but there is no response: {reason}"),
            Self::NotARegistry { reason } => {
                write!(f, "what answers is not a peer-registry: {reason}")
            }
            Self::WrongPath => f.write_str("a peer-registry answers, but not at this path"),
            _ => self.write_about_node(f),
        }
    }
}

impl Finding {
    /// Writes a finding about the node itself at a registry that responds.
    fn write_about_node(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockAgrees => f.write_str("this node's clock agrees with the registry's"),
            Self::ClockDiffers { ahead_ms } => write_skew(f, *ahead_ms),
            Self::Listed { renewed_ago_ms } => write_listed(f, *renewed_ago_ms),
            Self::LeaseNearlyOut {
                renewed_ago_ms,
                lease_secs,
                is_assumed,
            } => write_nearly_out(f, *renewed_ago_ms, *lease_secs, *is_assumed),
            Self::ProxyRefuses { status } => write!(
                f,
                "the registry answers, but a proxy in front of it refuses what the node sends ({status})"
            ),
            Self::NoAddressLeft => f.write_str(
                "the node is registered without an address: the registry has left out all that it announced",
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
            Self::NotListed { revealing } => write_not_listed(f, revealing),
            Self::Accepted {
                lease_ms,
                heartbeat_interval_secs,
            } => {
                f.write_str("the registry took the registration")?;
                write_terms(f, *lease_ms, *heartbeat_interval_secs)
            }
            Self::Renewed {
                lease_ms,
                heartbeat_interval_secs,
            } => {
                f.write_str("the node is registered already, and only its lease was renewed")?;
                write_terms(f, *lease_ms, *heartbeat_interval_secs)
            }
            Self::RegisteredOtherwise { differences } => write!(
                f,
                "the node is registered with other settings, so --register was left out: {}",
                differences.join("; ")
            ),
            Self::Dropped { dropped } => {
                let parts: Vec<_> = dropped.iter().map(DroppedField::to_string).collect();
                let parts = parts.join(", ");
                write!(f, "the registry left out of the registration: {parts}")
            }
            Self::Warned { warning } => write!(f, "the registry warns: {warning}"),
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
            _ => self.write_about_proofs(f),
        }
    }

    /// Writes a finding about the keys of the node and of the registry.
    fn write_about_proofs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyProven { is_claimed: true } => {
                f.write_str("the node's id is claimed by this node's key, so nobody else can use it")
            }
            Self::KeyProven { .. } => f.write_str("the registry takes the proof of this node's key"),
            Self::NotClaimed => f.write_str(
                "the registry takes the proof of this node's key, but the node is registered without one, \
                 so anybody can change its entry",
            ),
            Self::ClaimedByItsKey => f.write_str(
                "the node's id is claimed by its key, which is not known here: changes without it are \
                 refused",
            ),
            Self::NoProofs => f.write_str(
                "the registry verifies no keys, so anybody who knows the node's id can change its entry",
            ),
            Self::RegistryNameUnknown { host } => write!(
                f,
                "the node's key is not proven, since the registry does not know itself as {host}"
            ),
            Self::NotProven { reason } => f.write_str(reason),
            Self::RegistryKeyAsBefore => f.write_str("the registry has the same key as before"),
            Self::RegistryKeyChanged { before, now } => write!(
                f,
                "the registry has another key than before: it was {before} and is {now}"
            ),
            // The others are about the way to the registry, or the listing of the node.
            _ => Ok(()),
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

fn write_nearly_out(
    f: &mut Formatter<'_>,
    renewed_ago_ms: i64,
    lease_secs: u32,
    is_assumed: bool,
) -> fmt::Result {
    let secs = renewed_ago_ms / 1_000;
    write!(
        f,
        "the node's lease is nearly out: it was renewed {secs} s ago, and "
    )?;
    if is_assumed {
        let unsaid = "which this registry does not say";
        write!(
            f,
            "more than half is over if leases last {lease_secs} s here, {unsaid}"
        )
    } else {
        write!(f, "leases last {lease_secs} s here")
    }
}

fn write_not_listed(f: &mut Formatter<'_>, revealing: &[String]) -> fmt::Result {
    f.write_str("the node is not registered")?;
    if revealing.is_empty() {
        return Ok(());
    }
    let addresses = revealing.join(", ");
    write!(f, ", and would announce where it is: {addresses}")
}

fn write_terms(f: &mut Formatter<'_>, lease_ms: i64, heartbeat_interval_secs: u64) -> fmt::Result {
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
