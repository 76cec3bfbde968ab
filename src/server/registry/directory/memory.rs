//! The memory of peers.

use super::peer::{DirectoryPeer, PEER_BYTES, capabilities_json, turn_bytes};
use super::pool::ENTRY_BYTES;
use super::registered::Directory;
use crate::server::model::Profile;

impl Directory {
    /// Memory of all peers together, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.peer_bytes + self.capabilities.bytes() + self.index.bytes()
    }

    /// The maximum memory of a peer that announces `profile`, without what it shares with other peers,
    /// in bytes.
    pub(crate) fn max_bytes_of(&self, peer_id: &str, profile: &Profile) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let addresses = profile.addresses.iter().map(|address| address.len() + 3);
        let stores = profile.stores.iter();
        let stores = stores.map(|store| self.index.max_bytes_of_store(store));
        let capabilities = capabilities_json(profile);
        let capabilities = match self.capabilities.users(&capabilities) {
            0 => capabilities.len() + ENTRY_BYTES,
            _ => 0,
        };
        // The member names in listings, and the texts of the traits, which are stored three times.
        const NAMES_BYTES: usize = 400;
        let traits = text(&profile.version) + text(&profile.network_id);
        PEER_BYTES
            + NAMES_BYTES
            + 4 * peer_id.len()
            + addresses.sum::<usize>()
            + stores.sum::<usize>()
            + text(&profile.crypto_ipv6)
            + 3 * traits
            + capabilities
            + 2 * ENTRY_BYTES
            + profile.turn.as_ref().map_or(0, turn_bytes)
    }

    /// The memory that becomes free if a peer leaves, in bytes.
    pub(crate) fn bytes_of(&self, peer: &DirectoryPeer) -> usize {
        let stores = peer.stores.iter().map(|id| self.index.bytes_of_store(*id));
        let capabilities = match self.capabilities.users(&peer.capabilities) {
            0 | 1 => peer.capabilities.len() + ENTRY_BYTES,
            _ => 0,
        };
        peer.bytes() + capabilities + stores.sum::<usize>()
    }
}
