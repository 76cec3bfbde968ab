//! The loop that looks for peers whenever the node has too few connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::connections::Connections;
use super::finder::PeerFinder;
use super::network::Network;
use crate::agent::events::Event;
use crate::agent::registration::around;
use crate::clock::Timer;

/// The time between two counts of the connections, in milliseconds.
const CHECK_MS: i64 = 10_000;
/// The pause after the first search, in milliseconds. Each further pause is twice as long.
const FIRST_PAUSE_MS: i64 = 10_000;
/// The max pause of a node with some connections, in milliseconds.
const MAX_PAUSE_MS: i64 = 600_000;
/// The max pause of a node without any connection, in milliseconds; under a minute with its jitter.
const MAX_LONELY_PAUSE_MS: i64 = 50_000;
/// The min time between two searches, in milliseconds, however often the loop is woken.
const MIN_PAUSE_MS: i64 = 5_000;

/// When the fallback looks for peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FallbackSettings {
    /// How long after the start of the agent the connections are first counted.
    pub(crate) after: Duration,
    /// How many connections are enough.
    pub(crate) enough_peers: usize,
}

/// The loop that looks for peers.
pub(crate) struct Fallback {
    pub(crate) settings: FallbackSettings,
    pub(crate) connections: Arc<Connections>,
    pub(crate) finder: Arc<PeerFinder>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) events: broadcast::Sender<Event>,
    /// Changes when the node has registered.
    pub(crate) wake: watch::Receiver<()>,
    /// Tells all loops that the network has changed. The node may say so, too.
    pub(crate) network_changes: watch::Sender<()>,
}

/// A time in which the node has too few connections.
struct Shortage {
    /// The number of connections at the last count.
    connected: usize,
    pause_ms: i64,
    last_search_ms: i64,
    next_search_ms: i64,
    /// Why the last search brought no peer, so that it is reported once; `None` if it did.
    nobody: Option<Vec<String>>,
}

impl Fallback {
    /// Counts the connections for as long as the agent runs, and looks for peers while there are too
    /// few. `started_ms` is the start of the agent, in Unix milliseconds.
    pub(crate) async fn run(mut self, started_ms: i64) {
        let after_ms = i64::try_from(self.settings.after.as_millis()).unwrap_or(i64::MAX);
        self.timer
            .sleep_until(started_ms.saturating_add(after_ms))
            .await;
        // What happened before does not hurry the first search.
        self.wake.mark_unchanged();
        let mut network_changes = self.network_changes.subscribe();
        let mut shortage = None;
        let mut network = Network::now();
        loop {
            self.check(&mut shortage).await;
            let mut wake_ms = self.timer.now_ms().saturating_add(CHECK_MS);
            if let Some(shortage) = &shortage {
                wake_ms = wake_ms.min(shortage.next_search_ms);
            }
            let is_woken = tokio::select! {
                biased;
                Ok(()) = self.wake.changed() => true,
                Ok(()) = network_changes.changed() => true,
                () = self.timer.sleep_until(wake_ms) => false,
            };
            let network_now = Network::now();
            if std::mem::replace(&mut network, network_now) != network_now {
                // This loop hears it as well, at its next turn.
                self.network_changes.send_replace(());
            }
            if let (true, Some(shortage)) = (is_woken, &mut shortage) {
                shortage.hurry();
            }
        }
    }

    /// Counts the connections, and looks for peers if there are too few and it is time.
    async fn check(&self, shortage: &mut Option<Shortage>) {
        let connected = self.connections.count();
        if connected >= self.settings.enough_peers {
            if shortage.take().is_some() {
                let connected_peers = connected;
                self.send(Event::FallbackEnded { connected_peers });
            }
            return;
        }
        let now_ms = self.timer.now_ms();
        let shortage = shortage.get_or_insert_with(|| {
            let connected_peers = connected;
            self.send(Event::FallbackStarted { connected_peers });
            Shortage::start(connected, now_ms)
        });
        let has_lost_all = connected == 0 && shortage.connected > 0;
        shortage.connected = connected;
        if has_lost_all {
            shortage.hurry();
        }
        if shortage.next_search_ms <= now_ms {
            self.search(shortage).await;
            shortage.plan(self.timer.now_ms());
        }
    }

    async fn search(&self, shortage: &mut Shortage) {
        let list = self.finder.find().await;
        if list.peers.is_empty() {
            if shortage.nobody.as_ref() != Some(&list.failures) {
                shortage.nobody = Some(list.failures.clone());
                self.send(Event::NobodyFound {
                    failures: list.failures,
                });
            }
        } else {
            shortage.nobody = None;
            self.send(Event::PeersFound { list });
        }
    }

    fn send(&self, event: Event) {
        // Fails if there is no reader, which is fine.
        let _ = self.events.send(event);
    }
}

impl Shortage {
    fn start(connected: usize, now_ms: i64) -> Self {
        Self {
            connected,
            pause_ms: FIRST_PAUSE_MS,
            last_search_ms: i64::MIN,
            next_search_ms: now_ms,
            nobody: None,
        }
    }

    /// Plans the search after the one that has just ended.
    fn plan(&mut self, now_ms: i64) {
        let max_ms = match self.connected {
            0 => MAX_LONELY_PAUSE_MS,
            _ => MAX_PAUSE_MS,
        };
        let wait_ms = around(self.pause_ms.min(max_ms), &mut rand::rng());
        self.last_search_ms = now_ms;
        self.next_search_ms = now_ms.saturating_add(wait_ms);
        self.pause_ms = (2 * self.pause_ms).min(MAX_PAUSE_MS);
    }

    /// Makes the next search come soon, and the pauses after it short again.
    fn hurry(&mut self) {
        self.pause_ms = FIRST_PAUSE_MS;
        let soon_ms = self.last_search_ms.saturating_add(MIN_PAUSE_MS);
        self.next_search_ms = self.next_search_ms.min(soon_ms);
    }
}
