//! Peers to connect to, from all registries together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::watch;

use super::client::RegistryClient;
use super::last_known_good::{LastKnownGood, SavedPeers};
use super::query::PeersQuery;
use super::words;
use crate::clock::Timer;
use crate::protocol::{ListedPeer, PeerId, PeersResponse, RegisterRequest};

/// Peers, and how fresh the knowledge of them is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerList {
    /// The peers, each once, the one seen last first; the node itself is not among them.
    pub peers: Vec<ListedPeer>,
    /// Where they come from.
    pub source: PeerSource,
    /// Why registries did not answer, one sentence each.
    pub failures: Vec<String>,
}

/// Where a list of peers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "from",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum PeerSource {
    /// The registries that answered, just now.
    Registries,
    /// The last answer that named a peer, since no registry names one now.
    LastKnownGood {
        /// When it was given, in Unix milliseconds.
        saved_at_ms: i64,
        /// How long ago that was, in milliseconds.
        age_ms: i64,
    },
}

/// Merges what several registries list: each peer once, as the registry knows it that has seen
/// it last, and the peer seen last first.
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

/// Asks all registries for peers and remembers the last good answer.
pub(super) struct PeerFinder {
    pub(super) sources: Vec<Source>,
    pub(super) registration: watch::Receiver<Arc<RegisterRequest>>,
    /// How many peers to ask each registry for.
    pub(super) sample: u32,
    pub(super) last_known_good: LastKnownGood,
    pub(super) timer: Arc<dyn Timer>,
}

/// A registry to ask for peers.
pub(super) struct Source {
    client: RegistryClient,
    /// Until when it has asked to be left alone, in Unix milliseconds.
    quiet_until_ms: AtomicI64,
}

impl Source {
    pub(super) fn new(client: RegistryClient) -> Self {
        Self {
            client,
            quiet_until_ms: AtomicI64::new(i64::MIN),
        }
    }

    async fn ask(&self, query: &PeersQuery, timer: &dyn Timer) -> Result<PeersResponse, String> {
        if timer.now_ms() < self.quiet_until_ms.load(Ordering::Relaxed) {
            return Err(format!("{} has asked for patience", self.client.url()));
        }
        self.client.peers(query).await.map_err(|error| {
            if let Some(wait) = error.retry_after() {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let quiet_until_ms = timer.now_ms().saturating_add(wait_ms);
                self.quiet_until_ms.store(quiet_until_ms, Ordering::Relaxed);
            }
            words::in_full(&error)
        })
    }
}

impl PeerFinder {
    /// Asks all registries at once. If none of them names a peer, the last good answer counts.
    pub(super) async fn find(&self) -> PeerList {
        let registration = Arc::clone(&self.registration.borrow());
        let query = PeersQuery {
            network_id: registration.network_id.clone(),
            exclude: Some(registration.peer_id.clone()),
            ..PeersQuery::sample(self.sample)
        };
        let asked = self
            .sources
            .iter()
            .map(|source| source.ask(&query, &*self.timer));
        let answers = join_all(asked).await;
        let mut lists = Vec::new();
        let mut failures = Vec::new();
        for answer in answers {
            match answer {
                Ok(answer) => lists.push(answer.peers),
                Err(error) => failures.push(error),
            }
        }
        let mut peers = merge_peers(lists);
        peers.retain(|peer| peer.peer_id != registration.peer_id);
        let now_ms = self.timer.now_ms();
        if !peers.is_empty() {
            let network_id = registration.network_id.as_deref();
            self.last_known_good.keep(&peers, network_id, now_ms).await;
        } else if let Some(saved) = self.saved_for(&registration).await {
            return PeerList {
                peers: saved.peers,
                source: PeerSource::LastKnownGood {
                    saved_at_ms: saved.saved_at_ms,
                    age_ms: now_ms.saturating_sub(saved.saved_at_ms).max(0),
                },
                failures,
            };
        }
        PeerList {
            peers,
            source: PeerSource::Registries,
            failures,
        }
    }

    /// The last good list as far as it is of use to this node: the file may come from another
    /// network, or from another node that shares it.
    async fn saved_for(&self, registration: &RegisterRequest) -> Option<SavedPeers> {
        let mut saved = self.last_known_good.recall().await?;
        saved
            .peers
            .retain(|peer| peer.peer_id != registration.peer_id);
        (saved.network_id == registration.network_id && !saved.peers.is_empty()).then_some(saved)
    }
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
