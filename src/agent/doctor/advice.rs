//! What to do about each finding.

use super::finding::Finding;
use crate::agent::client::{RefusalCode, TlsFault};
use crate::protocol::{ErrorCode, HealthStatus};

const WAIT_FOR_RESTART: &str = "wait: it is being stopped, and leases stand still until it is back";
const WAIT_FOR_OPERATOR: &str =
    "tell its operator; leases stand still meanwhile, so nothing is lost";
const ASK_LESS: &str = "try again later, and check that nothing on this network sends requests all the time; what answers may \
     also be a proxy whose registry is down";
const CHECK_NAME: &str = "check the spelling of the registry's address, and this machine's DNS";
const CHECK_PORT: &str =
    "check the port, that the registry is running, and that no firewall is between";
const USE_HTTPS: &str = "write the registry's address with https://";
const CHECK_SERVER: &str =
    "check the port: another kind of server, e.g. SSH or mail, answers at this one";
const CHECK_SCHEME: &str = "check that it is the registry's port, with https:// if it speaks TLS; otherwise tell its operator";
const CHECK_PROXY: &str = "check the proxy (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY), or name the registry's host in NO_PROXY; if the \
     proxy shows a certificate of its own, name its authority (--ca-file)";
const FOLLOW: &str = "write the registry's address as the one that it redirects to, without /health or /register, if you trust it";
const CHECK_REDIRECT: &str = "check the host and the path in the registry's address: what it redirects to does not look like one";
const ADD_PROXY_PASSWORD: &str = "write a user and a password into the proxy's address (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY): \
     http://USER:PASSWORD@HOST:PORT";
const CORRECT_PROXY: &str =
    "write it like http://HOST:PORT, or like socks5h://HOST:PORT for a SOCKS proxy, or unset it";
const TELL_GATEWAY: &str = "tell the registry's operator; the node tries again by itself";
const ADD_PASSWORD: &str =
    "write a user and a password into the registry's address: https://USER:PASSWORD@HOST";
const CHECK_PASSWORD: &str = "check the user and the password in the registry's address; signs like @ : / are written as %40 \
     %3A %2F";
const CHECK_ADDRESS: &str =
    "check the registry's address; a captive portal or a proxy may have answered";
const CHECK_PATH: &str = "check the path in the registry's address; most have none";
const RAISE_BODY_LIMIT: &str = "tell the registry's operator to raise the limit of the proxy (nginx: client_max_body_size), or announce \
     less, e.g. fewer stores";
const CHECK_PROXY_RULES: &str =
    "tell the registry's operator that the proxy must let POST requests through to the registry";
const REACHABLE_ADDRESS: &str = "announce an address at which others can reach the node: registries leave out those of the machine itself, \
     of local networks, and what they cannot read; doctor --register says why, if the node is stopped";
const SET_CLOCK: &str = "set this machine's clock, e.g. by NTP; leases do not depend on it, certificates and the age of \
     what is listed do";
const CHECK_HEARTBEATS: &str = "check that the node is running and sends heartbeats, or run peer-agent beside it; if leases \
     last longer at this registry, say so (--lease-secs)";
const LOOK_FOR_TWIN: &str =
    "look for a second node that runs with this node's key, and give it a key of its own";
const ANNOUNCE_AGAIN: &str = "restart the node if its settings have changed, or give those that it runs with; a registry also leaves \
     out addresses that it does not take";
const USE_SAME_SETTINGS: &str = "give the settings that the node runs with, or restart the node with these; a registry also leaves out \
     what it does not take, and the log of the node says what";
const SHORTEN_PAGES: &str =
    "tell its operator that its pages are too long (MAX_LISTED); heartbeats do not depend on them";
const TRY_ADDRESSES: &str = "start the node, or see whether the registry takes its addresses: many refuse all but a \
     crypto-IPv6 (doctor --register)";
const TRY_REGISTRATION: &str =
    "start the node, or see whether the registry takes its registration (doctor --register)";
const HIDE_ADDRESSES: &str = "announce the crypto-IPv6 address only (the default), or use a registry with another address \
     policy";
const ANNOUNCE_LESS: &str = "nothing, if the rest is enough; otherwise change what was left out";
const PROVE_KEY: &str = "run the node with its key file and a version that proves it; its next registration then claims the \
     id";
const CHECK_PROOF: &str = "let the registry be reached without a password for now, or check what is between, e.g. a proxy that \
     drops the header Authorization";
const CHECK_REGISTRY_KEY: &str = "ask the registry's operator whether its keys were lost or replaced (registryPeerId in /health); if \
     not, another server responds in its place";

impl Finding {
    /// What to do about the finding; `None` if nothing is wrong.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Serves { .. }
            | Self::ClockAgrees
            | Self::Listed { .. }
            | Self::Accepted { .. }
            | Self::Renewed { .. }
            | Self::KeyProven { .. }
            | Self::ClaimedByItsKey
            | Self::NoProofs
            | Self::RegistryKeyAsBefore => return None,
            Self::CannotServe {
                status: HealthStatus::Draining,
            } => WAIT_FOR_RESTART,
            Self::CannotServe { .. } => WAIT_FOR_OPERATOR,
            Self::Throttled { code, .. } => code.as_ref().map_or(ASK_LESS, RefusalCode::advice),
            Self::NameUnknown { .. } => CHECK_NAME,
            Self::NoConnection { .. } => CHECK_PORT,
            Self::TlsFailed { fault, .. } => tls_advice(*fault),
            Self::SpeaksTls => USE_HTTPS,
            Self::OtherProtocol { .. } => CHECK_SERVER,
            Self::ProxyFailed { .. } => CHECK_PROXY,
            Self::ProxyPasswordWanted { .. } => ADD_PROXY_PASSWORD,
            Self::ProxyMalformed { .. } => CORRECT_PROXY,
            Self::GatewayFailed { .. } => TELL_GATEWAY,
            Self::Redirects { address: None, .. } => CHECK_REDIRECT,
            Self::Redirects { .. } => FOLLOW,
            Self::PasswordWanted { has_password: true } => CHECK_PASSWORD,
            Self::PasswordWanted { .. } => ADD_PASSWORD,
            Self::NoAnswer { .. } => CHECK_SCHEME,
            Self::NotARegistry { .. } => CHECK_ADDRESS,
            Self::WrongPath => CHECK_PATH,
            Self::ProxyRefuses { status: 413 } => RAISE_BODY_LIMIT,
            Self::ProxyRefuses { .. } => CHECK_PROXY_RULES,
            Self::NoAddressLeft => REACHABLE_ADDRESS,
            Self::ClockDiffers { .. } => SET_CLOCK,
            Self::LeaseNearlyOut { .. } => CHECK_HEARTBEATS,
            Self::ListedOtherwise { .. } => ANNOUNCE_AGAIN,
            Self::RegisteredOtherwise { .. } => USE_SAME_SETTINGS,
            Self::ListingTooLong { .. } => SHORTEN_PAGES,
            Self::NotListed { revealing } if !revealing.is_empty() => TRY_ADDRESSES,
            Self::NotListed { .. } => TRY_REGISTRATION,
            Self::AddressRefused { .. } => HIDE_ADDRESSES,
            Self::Dropped { .. } => ANNOUNCE_LESS,
            Self::Warned { .. } => LOOK_FOR_TWIN,
            Self::RegistrationRefused { code, .. } => code.advice(),
            Self::NotClaimed => PROVE_KEY,
            Self::RegistryNameUnknown { .. } => ErrorCode::UnknownHost.advice(),
            Self::NotProven { .. } => CHECK_PROOF,
            Self::RegistryKeyChanged { .. } => CHECK_REGISTRY_KEY,
        })
    }
}

fn tls_advice(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::PlainServer => {
            "write the registry's address with http:// if it speaks plain HTTP there, or check the port"
        }
        TlsFault::OwnAuthority => {
            "make a certificate authority and a certificate from it, see docs/nodes.md, and name the \
             authority's certificate here (--ca-file)"
        }
        TlsFault::UnknownAuthority => {
            "name the certificate of the registry's own authority (--ca-file), or install this machine's \
             certificates (ca-certificates); a proxy or a portal may also show one of its own"
        }
        TlsFault::Expired => {
            "tell the registry's operator to renew it, if this machine's clock is right"
        }
        TlsFault::NotYetValid => {
            "set this machine's clock, which may be behind, or tell the registry's operator"
        }
        TlsFault::WrongName => {
            "use the name that is in the certificate as the registry's address, or tell its operator"
        }
        TlsFault::NoName | TlsFault::OldForm => {
            "tell the registry's operator to make another certificate, see docs/nodes.md"
        }
        TlsFault::NothingInCommon => {
            "tell the registry's operator to allow TLS 1.2 or 1.3; a proxy in between may also allow only \
             older ones"
        }
        TlsFault::ClientCertificate => {
            "use an HTTP client with a certificate of its own (Transport::with_client), or ask the \
             registry's operator for an address without"
        }
        TlsFault::Other => {
            "check this machine's clock and certificates (ca-certificates), and whether the registry \
             speaks plain HTTP there (http://)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::doctor::Verdict;

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
            Finding::Throttled {
                code: None,
                reason: reason(),
            },
            Finding::NameUnknown {
                host: reason(),
                reason: reason(),
            },
            Finding::NoConnection {
                address: reason(),
                reason: reason(),
            },
            Finding::TlsFailed {
                fault: TlsFault::Other,
                reason: reason(),
            },
            Finding::SpeaksTls,
            Finding::OtherProtocol { reason: reason() },
            Finding::ProxyFailed {
                proxy: reason(),
                reason: reason(),
            },
            Finding::Redirects {
                to: reason(),
                address: None,
            },
            Finding::ProxyPasswordWanted { proxy: None },
            Finding::ProxyMalformed {
                variable: "HTTPS_PROXY",
            },
            Finding::GatewayFailed { status: 502 },
            Finding::PasswordWanted { has_password: true },
            Finding::Dropped { dropped: vec![] },
            Finding::Warned { warning: reason() },
            Finding::NoAnswer { reason: reason() },
            Finding::NotARegistry { reason: reason() },
            Finding::ListingTooLong { reason: reason() },
            Finding::WrongPath,
            Finding::ProxyRefuses { status: 413 },
            Finding::ProxyRefuses { status: 403 },
            Finding::NoAddressLeft,
            Finding::ClockAgrees,
            Finding::ClockDiffers { ahead_ms: 40_000 },
            Finding::Listed { renewed_ago_ms: 0 },
            Finding::LeaseNearlyOut {
                renewed_ago_ms: 400_000,
                lease_secs: 600,
                is_assumed: true,
            },
            Finding::ListedOtherwise { addresses: vec![] },
            Finding::NotListed { revealing: vec![] },
            Finding::Renewed {
                lease_ms: 600_000,
                heartbeat_interval_secs: 120,
            },
            Finding::RegisteredOtherwise {
                differences: vec![],
            },
            Finding::Accepted {
                lease_ms: 600_000,
                heartbeat_interval_secs: 120,
            },
            Finding::KeyProven { is_claimed: true },
            Finding::NotClaimed,
            Finding::ClaimedByItsKey,
            Finding::NoProofs,
            Finding::RegistryNameUnknown { host: reason() },
            Finding::NotProven { reason: reason() },
            Finding::RegistryKeyAsBefore,
            Finding::AddressRefused { message: reason() },
            Finding::RegistrationRefused {
                code: ErrorCode::InvalidField.into(),
                message: reason(),
            },
        ];
        for finding in findings {
            let is_fine = finding.verdict() == Verdict::Fine;
            assert_eq!(finding.advice().is_none(), is_fine, "{finding}");
        }
    }
}
