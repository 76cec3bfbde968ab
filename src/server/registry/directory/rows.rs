//! Makes rows of the peer table from memory.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::peer::DirectoryPeer;
use super::registered::Directory;
use crate::server::model::{Profile, StoredPeer};

/// The members of a listed peer that are kept as JSON text.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default, rename = "cryptoIPv6")]
    crypto_ipv6: Option<String>,
    capabilities: Option<Box<RawValue>>,
    capability_list: Option<Box<RawValue>>,
}

impl Directory {
    /// The peers in one part of the directory; `None` after the last part.
    ///
    /// Members that no listing shows are not in memory: `software_version`, `server_port` and
    /// `node_type`.
    pub(crate) fn rows(&self, part: usize) -> Option<Vec<StoredPeer>> {
        let peers = self.peers.shard(part)?;
        Some(peers.map(|peer| self.row_of(peer)).collect())
    }

    fn row_of(&self, peer: &DirectoryPeer) -> StoredPeer {
        let json = format!("{{{},{}}}", peer.head, peer.capabilities);
        // The registry has written this text itself, so it always parses.
        let members: Members = serde_json::from_str(&json).unwrap_or_default();
        let text = |json: Option<Box<RawValue>>| json.map(|json| json.get().to_owned());
        let traits = &peer.traits.traits;
        StoredPeer {
            row_id: peer.row_id,
            peer_id: peer.peer_id.clone(),
            registered_at_ms: peer.registered_at_ms,
            last_seen_ms: peer.last_seen_ms(),
            profile: Profile {
                addresses: members.addresses,
                crypto_ipv6: members.crypto_ipv6,
                stores: serde_json::from_slice(&self.stores_json(peer)).unwrap_or_default(),
                version: traits.version.clone(),
                privacy_mode: traits.privacy_mode,
                capabilities: text(members.capabilities),
                capability_list: text(members.capability_list),
                bootstrap_capable: traits.bootstrap_capable,
                network_id: traits.network_id.clone(),
                software_version: None,
                server_port: None,
                node_type: None,
                turn_capable: traits.turn_capable,
                turn: peer.turn().cloned(),
                authenticated: traits.authenticated,
            },
        }
    }
}
