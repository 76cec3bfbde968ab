//! What the registry knows of a peer.

use crate::protocol::{PeerId, TurnOffer};

/// What a peer announced, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Where the peer can be reached.
    pub addresses: Vec<String>,
    /// The peer's crypto-IPv6 in its own spelling.
    pub crypto_ipv6: Option<String>,
    /// Ids of the stores it serves, each once.
    pub stores: Vec<String>,
    /// The protocol version it speaks.
    pub version: Option<String>,
    /// Whether it asks for its privacy.
    pub privacy_mode: bool,
    /// A JSON object, as compact text.
    pub capabilities: Option<String>,
    /// A JSON array, as compact text.
    pub capability_list: Option<String>,
    /// Whether it helps others to bootstrap.
    pub bootstrap_capable: bool,
    /// The network it belongs to.
    pub network_id: Option<String>,
    /// The version of its software.
    pub software_version: Option<String>,
    /// The port it serves on.
    pub server_port: Option<u16>,
    /// Its type in Chia's numbering.
    pub node_type: Option<u16>,
    /// Whether it relays; true whenever `turn` is there.
    pub turn_capable: bool,
    /// Its TURN registration.
    pub turn: Option<TurnOffer>,
}

/// A request to be registered that passed the address policy.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The peer to register.
    pub peer_id: PeerId,
    /// What it announced; its `turn` holds the offer of this request only.
    pub profile: Profile,
    /// What the request said about `turnCapable`, if anything.
    pub turn_capable: Option<bool>,
}

/// A row of the peer table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// The row's key, given by the registry, never reused while the process runs.
    pub row_id: i64,
    /// The peer's name.
    pub peer_id: PeerId,
    /// When the peer first registered, in Unix milliseconds.
    pub registered_at_ms: i64,
    /// When its lease was last renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// What it announced.
    pub profile: Profile,
}
