//! The loop that looks for peers while the node has too few connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::finder::PeerFinder;
use crate::agent::events::Event;
use crate::agent::registration::around;
use crate::clock::Timer;

/// The pause after the first search, in milliseconds. Each further pause is twice as long.
const FIRST_PAUSE_MS: i64 = 10_000;
/// The max pause, in milliseconds.
const MAX_PAUSE_MS: i64 = 600_000;

/// Returns the number of peers that the node is connected to.
pub(crate) type PeerCount = Box<dyn Fn() -> usize + Send + Sync>;

/// When the fallback begins, and when it ends.
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
    pub(crate) peer_count: PeerCount,
    pub(crate) finder: Arc<PeerFinder>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) events: broadcast::Sender<Event>,
}

impl Fallback {
    /// Waits, then looks for peers until the node has enough connections. `started_ms` is the start of
    /// the agent, in Unix milliseconds.
    pub(crate) async fn run(self, started_ms: i64) {
        let after_ms = i64::try_from(self.settings.after.as_millis()).unwrap_or(i64::MAX);
        self.timer
            .sleep_until(started_ms.saturating_add(after_ms))
            .await;
        let mut is_started = false;
        let mut pause_ms = FIRST_PAUSE_MS;
        loop {
            let connected_peers = (self.peer_count)();
            if connected_peers >= self.settings.enough_peers {
                return;
            }
            if !is_started {
                is_started = true;
                self.send(Event::FallbackStarted { connected_peers });
            }
            let list = self.finder.find().await;
            if !list.peers.is_empty() {
                self.send(Event::PeersFound { list });
            }
            let wait_ms = around(pause_ms, &mut rand::rng());
            self.timer
                .sleep_until(self.timer.now_ms().saturating_add(wait_ms))
                .await;
            pause_ms = (2 * pause_ms).min(MAX_PAUSE_MS);
        }
    }

    fn send(&self, event: Event) {
        // Fails if there is no reader, which is fine.
        let _ = self.events.send(event);
    }
}
