//! Looking for peers while the node has too few connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::events::Event;
use super::peers::PeerFinder;
use super::schedule::around;
use crate::clock::Timer;

/// The pause after the first look, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: i64 = 10_000;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 600_000;

/// Tells how many peers the node is connected to.
pub(super) type PeerCount = Box<dyn Fn() -> usize + Send + Sync>;

/// When the fallback begins and when it has done its work.
#[derive(Clone, Copy, Debug)]
pub(super) struct FallbackSettings {
    /// How long after the start the connections are counted.
    pub(super) after: Duration,
    /// How many are enough.
    pub(super) enough_peers: usize,
}

/// The loop that looks for peers.
pub(super) struct Fallback {
    pub(super) settings: FallbackSettings,
    pub(super) peer_count: PeerCount,
    pub(super) finder: Arc<PeerFinder>,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) events: broadcast::Sender<Event>,
}

impl Fallback {
    /// Waits, and then looks for peers until the node has enough.
    pub(super) async fn run(self, started_ms: i64) {
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
                self.tell(Event::FallbackStarted { connected_peers });
            }
            let list = self.finder.find().await;
            if !list.peers.is_empty() {
                self.tell(Event::PeersFound { list });
            }
            let wait_ms = around(pause_ms, &mut rand::rng());
            self.timer
                .sleep_until(self.timer.now_ms().saturating_add(wait_ms))
                .await;
            pause_ms = (2 * pause_ms).min(LONGEST_PAUSE_MS);
        }
    }

    fn tell(&self, event: Event) {
        // Nobody needs to listen.
        let _ = self.events.send(event);
    }
}
