//! Keeps the last good list fresh, for a start while every registry is down.

use std::sync::Arc;

use futures_util::future::select_all;
use rand::RngExt;
use tokio::sync::watch;

use super::peers::{PeerFinder, PeerSource};
use super::schedule::around;
use super::session::RegistryState;
use crate::clock::Timer;

/// The first list is fetched within this time after the first registration, in milliseconds.
///
/// Nodes that register in one herd, because their registry has come back, do not fetch in one.
const FIRST_WITHIN_MS: i64 = 300_000;
/// The pause after a list that named peers, in milliseconds.
const PAUSE_MS: i64 = 3_600_000;
/// The pause after a list that named none, in milliseconds.
const RETRY_MS: i64 = 600_000;

/// The loop that fetches a list from time to time.
pub(super) struct Refresh {
    pub(super) finder: Arc<PeerFinder>,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) states: Vec<watch::Receiver<RegistryState>>,
}

impl Refresh {
    /// Runs until it is aborted.
    pub(super) async fn run(mut self) {
        self.first_registration().await;
        let mut wait_ms = rand::rng().random_range(0..=FIRST_WITHIN_MS);
        loop {
            let at_ms = self.timer.now_ms().saturating_add(wait_ms);
            self.timer.sleep_until(at_ms).await;
            // The finder keeps what it finds, and leaves alone who has asked for patience.
            let list = self.finder.find().await;
            let is_fresh = list.source == PeerSource::Registries && !list.peers.is_empty();
            let pause_ms = if is_fresh { PAUSE_MS } else { RETRY_MS };
            wait_ms = around(pause_ms, &mut rand::rng());
        }
    }

    /// Waits until a registry has taken the node.
    async fn first_registration(&mut self) {
        let registered = self.states.iter_mut().map(|state| {
            // Ends without one only when the agent stops, and this loop with it.
            Box::pin(state.wait_for(|state| state.lease_until_ms.is_some()))
        });
        let _ = select_all(registered).await;
    }
}
