//! What the doctor finds, and whether it is good or bad for the node.

use crate::agent::client::{RefusalCode, TlsFault};
use crate::protocol::{DroppedField, HealthStatus, PeerId};

/// One fact that the doctor found. `Display` writes it as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A registry responds, and it can serve.
    Serves {
        /// The registry's version.
        version: String,
    },
    /// A registry responds, but it cannot serve.
    CannotServe {
        /// The status that it reports.
        status: HealthStatus,
    },
    /// The registry, or a proxy in front of it, asks the node to wait.
    Throttled {
        /// The error code; `None` if a proxy has answered.
        code: Option<RefusalCode>,
        /// What the response says.
        reason: String,
    },
    /// The name in the registry's address has no IP address.
    NameUnknown {
        /// The name.
        host: String,
        /// The error of the system.
        reason: String,
    },
    /// Nothing accepts connections at the registry's address, or there is no route to it.
    NoConnection {
        /// The host and the port.
        address: String,
        /// The error of the system.
        reason: String,
    },
    /// A connection can be opened, but TLS fails.
    TlsFailed {
        /// What kind of failure it is.
        fault: TlsFault,
        /// What went wrong.
        reason: String,
    },
    /// The address begins with `http`, but the server speaks TLS.
    SpeaksTls,
    /// A server responds, but not in HTTP.
    OtherProtocol {
        /// What went wrong.
        reason: String,
    },
    /// The request goes through a proxy and fails there or behind it.
    ProxyFailed {
        /// The address of the proxy, without a password.
        proxy: String,
        /// What went wrong.
        reason: String,
    },
    /// A proxy wants a user and a password.
    ProxyPasswordWanted {
        /// The address of the proxy, without a password; `None` if none is set.
        proxy: Option<String>,
    },
    /// A variable of the environment should hold the address of a proxy, but holds something else.
    ProxyMalformed {
        /// The name of the variable.
        variable: &'static str,
    },
    /// A proxy or a web server answers for a registry that it does not reach.
    GatewayFailed {
        /// The HTTP status.
        status: u16,
    },
    /// The server redirects to another address.
    Redirects {
        /// That address.
        to: String,
        /// The address of the registry that follows from it; `None` if none does.
        address: Option<String>,
    },
    /// The server wants a user and a password.
    PasswordWanted {
        /// Whether the address has a user or a password.
        has_password: bool,
    },
    /// A connection can be opened, but there is no response.
    NoAnswer {
        /// What went wrong.
        reason: String,
    },
    /// What responds is not a registry.
    NotARegistry {
        /// What the response says.
        reason: String,
    },
    /// A registry responds, but not at this path.
    WrongPath,
    /// A registry responds, but a proxy in front of it refuses what the node sends.
    ProxyRefuses {
        /// The HTTP status.
        status: u16,
    },
    /// The node is registered without an address, since the registry has left out all of them.
    NoAddressLeft,
    /// The clocks of the registry and of this node agree.
    ClockAgrees,
    /// The clocks of the registry and of this node differ.
    ClockDiffers {
        /// How far this node is ahead, in milliseconds; negative if it is behind.
        ahead_ms: i64,
    },
    /// The node is listed, and its lease was renewed in time.
    Listed {
        /// How long ago the lease was renewed, in milliseconds.
        renewed_ago_ms: i64,
    },
    /// The node is listed, but more than half of its lease is over.
    LeaseNearlyOut {
        /// How long ago the lease was renewed, in milliseconds.
        renewed_ago_ms: i64,
        /// The length of a lease, in seconds.
        lease_secs: u32,
        /// Whether that is only assumed, because neither the registry nor the caller says.
        is_assumed: bool,
    },
    /// The node is listed, but not with the addresses in its settings.
    ListedOtherwise {
        /// The addresses that are listed.
        addresses: Vec<String>,
    },
    /// The registry's listing is too long to read.
    ListingTooLong {
        /// What the response says.
        reason: String,
    },
    /// The node is not listed.
    NotListed {
        /// Addresses that a registry with the default policy would refuse.
        revealing: Vec<String>,
    },
    /// The registry accepted the node's registration.
    Accepted {
        /// The length of the lease, in milliseconds; zero if the registry does not say.
        lease_ms: i64,
        /// The time between heartbeats, in seconds.
        heartbeat_interval_secs: u64,
    },
    /// The node was registered already, so only its lease was renewed.
    Renewed {
        /// The length of the lease, in milliseconds; zero if the registry does not say.
        lease_ms: i64,
        /// The time between heartbeats, in seconds.
        heartbeat_interval_secs: u64,
    },
    /// The node is registered with other settings, so it was not registered again.
    RegisteredOtherwise {
        /// What differs, e.g. `networkId: registered "mainnet", here nothing`.
        differences: Vec<String>,
    },
    /// The registry left a part of the registration out.
    Dropped {
        /// What it left out, and why.
        dropped: Vec<DroppedField>,
    },
    /// The registry warns of something, e.g. of another node with this key.
    Warned {
        /// Its words.
        warning: String,
    },
    /// The registry refused the node's registration because of an address.
    AddressRefused {
        /// The reason that the registry gave.
        message: String,
    },
    /// The registry refused the node's registration for another reason.
    RegistrationRefused {
        /// The error code.
        code: RefusalCode,
        /// The reason that the registry gave.
        message: String,
    },
    /// The registry took the proof of the node's key.
    KeyProven {
        /// Whether the node's entry was proven as well, so that nobody else can change it.
        is_claimed: bool,
    },
    /// The registry takes the proof of the node's key, but the node's entry was announced without one.
    NotClaimed,
    /// The node's entry was proven by the holder of its key, which is not known here.
    ClaimedByItsKey,
    /// The registry verifies no keys.
    NoProofs,
    /// The registry does not know itself by the name in its address, so nothing is proven.
    RegistryNameUnknown {
        /// That name.
        host: String,
    },
    /// The node's key could not be proven.
    NotProven {
        /// Why.
        reason: String,
    },
    /// The registry has the key that it had before.
    RegistryKeyAsBefore,
    /// The registry has another key than before.
    RegistryKeyChanged {
        /// Its peer id before.
        before: PeerId,
        /// Its peer id now.
        now: PeerId,
    },
}

/// Whether a [`Finding`] is good or bad for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Fine,
    /// Something is wrong, but the registry can be reached.
    Wrong,
    /// The registry cannot be reached.
    Unreachable,
}

impl Finding {
    /// Whether the finding is good or bad for the node.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Serves { .. }
            | Self::ClockAgrees
            | Self::Listed { .. }
            | Self::Accepted { .. }
            | Self::Renewed { .. }
            | Self::KeyProven { .. }
            | Self::ClaimedByItsKey
            | Self::NoProofs
            | Self::RegistryKeyAsBefore => Verdict::Fine,
            Self::CannotServe { .. }
            | Self::Throttled { .. }
            | Self::ClockDiffers { .. }
            | Self::LeaseNearlyOut { .. }
            | Self::ProxyRefuses { .. }
            | Self::NoAddressLeft
            | Self::ListedOtherwise { .. }
            | Self::RegisteredOtherwise { .. }
            | Self::ProxyMalformed { .. }
            | Self::ListingTooLong { .. }
            | Self::NotListed { .. }
            | Self::Dropped { .. }
            | Self::Warned { .. }
            | Self::AddressRefused { .. }
            | Self::RegistrationRefused { .. }
            | Self::NotClaimed
            | Self::RegistryNameUnknown { .. }
            | Self::NotProven { .. }
            | Self::RegistryKeyChanged { .. } => Verdict::Wrong,
            Self::NameUnknown { .. }
            | Self::NoConnection { .. }
            | Self::TlsFailed { .. }
            | Self::SpeaksTls
            | Self::OtherProtocol { .. }
            | Self::ProxyFailed { .. }
            | Self::ProxyPasswordWanted { .. }
            | Self::GatewayFailed { .. }
            | Self::Redirects { .. }
            | Self::PasswordWanted { .. }
            | Self::NoAnswer { .. }
            | Self::NotARegistry { .. }
            | Self::WrongPath => Verdict::Unreachable,
        }
    }
}
