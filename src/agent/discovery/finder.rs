//! Asks all registries for peers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use tokio::sync::watch;

use super::connections::Connections;
use super::last_known_good::{LastKnownGood, SavedPeers};
use crate::agent::client::RegistryClient;
use crate::agent::client::sanitize::with_causes;
use crate::agent::peer_list::{PeerList, PeerSource, merge_peers};
use crate::clock::Timer;
use crate::protocol::{ListedPeer, PeerFilter, PeerId, PeersQuery, PeersResponse, RegisterRequest};

/// Asks all registries for peers and keeps the last good list.
pub(crate) struct PeerFinder {
    registries: Vec<Registry>,
    registration: watch::Receiver<Arc<RegisterRequest>>,
    /// How many peers to request from each registry.
    sample: u32,
    last_known_good: LastKnownGood,
    /// What the node is connected to; `None` if it does not say.
    connections: Option<Arc<Connections>>,
    timer: Arc<dyn Timer>,
}

/// A registry to ask for peers.
struct Registry {
    client: RegistryClient,
    /// Until when it asked the node to wait, in Unix milliseconds.
    quiet_until_ms: AtomicI64,
}

impl Registry {
    fn new(client: RegistryClient) -> Self {
        Self {
            client,
            quiet_until_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Requests a list, unless the registry asked the node to wait. An error is one sentence.
    async fn peers(&self, query: &PeersQuery, timer: &dyn Timer) -> Result<PeersResponse, String> {
        if timer.now_ms() < self.quiet_until_ms.load(Ordering::Relaxed) {
            return Err(format!("{} has asked this node to wait", self.client.url()));
        }
        self.client.peers(query).await.map_err(|error| {
            if let Some(wait) = error.retry_after() {
                let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                let quiet_until_ms = timer.now_ms().saturating_add(wait_ms);
                self.quiet_until_ms.store(quiet_until_ms, Ordering::Relaxed);
            }
            with_causes(&error)
        })
    }
}

impl PeerFinder {
    pub(crate) fn new(
        clients: &[RegistryClient],
        registration: watch::Receiver<Arc<RegisterRequest>>,
        sample: u32,
        last_known_good: LastKnownGood,
        connections: Option<Arc<Connections>>,
        timer: Arc<dyn Timer>,
    ) -> Self {
        Self {
            registries: clients.iter().cloned().map(Registry::new).collect(),
            registration,
            sample,
            last_known_good,
            connections,
            timer,
        }
    }

    /// Asks all registries at the same time. If none names a peer, returns the last good list. The
    /// node itself and the peers it is connected to are left out.
    pub(crate) async fn find(&self) -> PeerList {
        let mut list = self.find_all().await;
        if let Some(connections) = &self.connections {
            let connected = connections.peers();
            list.peers.retain(|peer| !connected.contains(&peer.peer_id));
        }
        list
    }

    /// The newest entry of the peer with this id.
    pub(crate) async fn find_one(&self, peer_id: &PeerId) -> Option<ListedPeer> {
        let requests = self.registries.iter().map(|it| it.client.peer(peer_id));
        let found = join_all(requests).await.into_iter().flatten();
        found
            .map(|response| response.peer)
            .max_by_key(|peer| peer.last_seen)
    }

    /// The peers of all registries or of the last good list, without the node itself.
    async fn find_all(&self) -> PeerList {
        let registration = Arc::clone(&self.registration.borrow());
        let query = PeersQuery {
            filter: PeerFilter {
                network_id: registration.network_id.clone(),
                exclude: Some(registration.peer_id.clone()),
                ..PeerFilter::default()
            },
            ..PeersQuery::sample(self.sample)
        };
        let requests = self
            .registries
            .iter()
            .map(|registry| registry.peers(&query, &*self.timer));
        let mut lists = Vec::new();
        let mut failures = Vec::new();
        for result in join_all(requests).await {
            match result {
                Ok(response) => lists.push(response.peers),
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

    /// The last good list without the node itself. `None` if it is empty or of another network: the
    /// file may come from another node, or from before a change of the network.
    async fn saved_for(&self, registration: &RegisterRequest) -> Option<SavedPeers> {
        let mut saved = self.last_known_good.recall().await?;
        saved
            .peers
            .retain(|peer| peer.peer_id != registration.peer_id);
        (saved.network_id == registration.network_id && !saved.peers.is_empty()).then_some(saved)
    }
}
