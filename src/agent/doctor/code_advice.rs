//! What a node's operator can do about each error code.

use crate::agent::client::RefusalCode;
use crate::protocol::ErrorCode;

const ASK_OPERATOR: &str = "tell the registry's operator; the node tries again by itself";
const CHECK_FIELD: &str =
    "change the setting of the field that the registry names, see `peer-agent run --help`";
const CHECK_SENDER: &str = "check what is between this node and the registry, e.g. a proxy that changes requests, and \
     whether both have about the same version";

const WAIT_BUSY: &str = "wait: the registry is busy, and the node tries again by itself";
const WAIT_STARTING: &str = "wait: the registry has just been started and still reads its database";

impl ErrorCode {
    /// What the operator of a node can do if a registry answers with this code.
    pub fn advice(self) -> &'static str {
        match self {
            Self::MissingField | Self::InvalidField => CHECK_FIELD,
            Self::PrivacyViolation => {
                "announce the crypto-IPv6 address only (the default), or use a registry with another \
                 address policy"
            }
            Self::InvalidHttp
            | Self::InvalidJson
            | Self::UnsupportedMediaType
            | Self::MethodNotAllowed => CHECK_SENDER,
            Self::HeadTooLarge => {
                "shorten the address of the registry, and check that no proxy adds long headers"
            }
            Self::PayloadTooLarge => {
                "announce less, e.g. fewer stores, or use a registry that takes more"
            }
            Self::AuthenticationRequired => {
                "prove the key: another node has proven that it holds the key of this id, so run the node \
                 with the key file that belongs to it"
            }
            Self::InvalidAuthentication => {
                "check this node's clock and its proxy: the registry did not accept the proof of its key"
            }
            Self::UnknownHost => {
                "use the name by which the registry's operator calls it, or ask the operator to declare \
                 this one (PUBLIC_HOSTS)"
            }
            Self::IdentityMismatch => {
                "use one key for one node: the request was about another id than the one of the key"
            }
            Self::ForeignOrigin => {
                "send requests from the node itself, not from a web page of another site"
            }
            Self::PeerNotFound => {
                "register the node: start it, or run peer-agent run or peer-agent register"
            }
            Self::NotFound => "check the path in the registry's address; most have none",
            Self::RequestTimeout => {
                "check this node's connection to the network: its request did not arrive in time"
            }
            Self::Throttled => {
                "wait, and check that nothing on this network sends requests all the time"
            }
            Self::Overloaded => WAIT_BUSY,
            Self::Starting => WAIT_STARTING,
            Self::StorageUnavailable => {
                "tell the registry's operator that its database takes no writes; leases stand still \
                 meanwhile"
            }
            Self::RegistryFull => {
                "use another registry, or tell its operator: it is full (MAX_PEERS, MAX_MEMORY_MB), and \
                 the node gets in when others leave"
            }
            Self::Unauthorized => {
                "check the token or the password; only the registry's operator has the admin token"
            }
            Self::SessionNotFound => "request a new TURN session: the old one has ended",
            Self::NoTurnServer => {
                "try again later: no TURN server has room; a node can offer one (--turn-address)"
            }
            Self::AttemptP2pFirst => {
                "try a direct connection first, and say so in the request (p2pAttempted)"
            }
            Self::SessionLimit => {
                "release TURN sessions that are no longer used, or renew one by its sessionId"
            }
            Self::BandwidthShare => "ask for less bandwidth (estimatedBandwidthMbps)",
            Self::PremiumOnly | Self::PremiumSessionLimit | Self::RenewalsOnly => {
                "try again later, or ask the registry's operator for the tier premium: its budget for \
                 relaying is nearly used up"
            }
            Self::RelayShutdown => {
                "connect without a relay: the registry's budget for relaying is used up"
            }
            Self::Internal => ASK_OPERATOR,
        }
    }
}

impl RefusalCode {
    /// What the operator of a node can do if a registry answers with this code.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Known(code) => code.advice(),
            Self::Newer(_) => {
                "do what the registry says; a newer version of this program may know more about it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_advice_that_does_not_only_repeat_the_refusal() {
        for code in ErrorCode::ALL {
            let advice = code.advice();
            assert!(advice.len() > 20, "{code}");
            assert!(!advice.contains("what the registry names"), "{code}");
        }
        let full = ErrorCode::RegistryFull.advice();
        assert!(full.contains("another registry"), "{full}");
        assert_ne!(full, ErrorCode::Throttled.advice());
    }
}
