//! What a peer announced.

use crate::protocol::TurnOffer;

/// What a peer announced, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    /// Where the peer can be reached.
    pub addresses: Vec<String>,
    /// The peer's crypto-IPv6 in its own spelling.
    pub crypto_ipv6: Option<String>,
    /// Ids of the stores it serves, each once.
    pub stores: Vec<String>,
    /// The protocol version it speaks.
    pub version: Option<String>,
    /// Whether it asks for privacy.
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
    /// The port on which it serves.
    pub server_port: Option<u16>,
    /// Its type in Chia's numbering.
    pub node_type: Option<u16>,
    /// Whether it says that it relays; always true if `turn` is `Some`.
    pub turn_capable: bool,
    /// Its TURN offer.
    pub turn: Option<TurnOffer>,
    /// Whether the sender proved to hold the key of the peer's id.
    pub authenticated: bool,
}
