//! Peers to connect to, and where the list of them comes from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::protocol::{ListedPeer, PeerId};

/// Peers to connect to, and how current the list is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerList {
    /// The peers, each once, the most recently seen first. The node itself and
    /// the peers it says it is connected to are not among them.
    pub peers: Vec<ListedPeer>,
    /// Where the peers come from.
    pub source: PeerSource,
    /// Why registries did not respond, one sentence for each.
    pub failures: Vec<String>,
}

/// Where a list of peers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "from",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum PeerSource {
    /// The registries that responded just now.
    Registries,
    /// The last list that named a peer, because no registry names one now.
    LastKnownGood {
        /// When the registries sent it, in Unix milliseconds.
        saved_at_ms: i64,
        /// How long ago that was, in milliseconds.
        age_ms: i64,
    },
}

/// Merges the lists of several registries: each peer once, from the registry that has seen it most
/// recently, and the most recently seen peer first.
pub fn merge_peers(lists: impl IntoIterator<Item = Vec<ListedPeer>>) -> Vec<ListedPeer> {
    let mut newest: HashMap<PeerId, ListedPeer> = HashMap::new();
    for peer in lists.into_iter().flatten() {
        let is_newer = |known: &ListedPeer| known.last_seen < peer.last_seen;
        if newest.get(&peer.peer_id).is_none_or(is_newer) {
            newest.insert(peer.peer_id.clone(), peer);
        }
    }
    let mut peers: Vec<_> = newest.into_values().collect();
    peers.sort_unstable_by(|a, b| (b.last_seen, &a.peer_id).cmp(&(a.last_seen, &b.peer_id)));
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: &str, last_seen: i64) -> ListedPeer {
        let json = serde_json::json!({
            "peerId": id, "addresses": [], "cryptoIPv6": null, "lastSeen": last_seen,
            "version": null, "turnCapable": false, "bootstrapCapable": false,
            "privacyMode": false, "networkId": null,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn each_peer_is_listed_once_as_it_was_seen_last() {
        let merged = merge_peers([
            vec![peer("a", 5), peer("b", 1)],
            vec![],
            vec![peer("c", 3), peer("a", 4), peer("b", 9)],
        ]);
        let seen: Vec<_> = merged
            .iter()
            .map(|peer| (peer.peer_id.as_str(), peer.last_seen))
            .collect();
        assert_eq!(seen, [("b", 9), ("a", 5), ("c", 3)]);
    }
}
