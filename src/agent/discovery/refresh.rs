//! The loop that keeps the file with the last good list up to date, for a start while every registry
//! is down.

use std::sync::Arc;

use futures_util::future::select_all;
use rand::RngExt;
use tokio::sync::watch;

use super::finder::PeerFinder;
use crate::agent::peer_list::PeerSource;
use crate::agent::registration::{RegistryState, around};
use crate::clock::Timer;

/// The max time from the first registration to the first list, in milliseconds.
///
/// The time is random, so nodes that register together after an outage do not fetch together.
const FIRST_WITHIN_MS: i64 = 300_000;
/// The pause after a list with peers, in milliseconds.
const PAUSE_MS: i64 = 3_600_000;
/// The pause after an empty list, in milliseconds.
const RETRY_MS: i64 = 600_000;

/// The loop that fetches a list from time to time.
pub(crate) struct Refresh {
    pub(crate) finder: Arc<PeerFinder>,
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) states: Vec<watch::Receiver<RegistryState>>,
}

impl Refresh {
    /// Runs until it is aborted.
    pub(crate) async fn run(mut self) {
        self.first_registration().await;
        let mut wait_ms = rand::rng().random_range(0..=FIRST_WITHIN_MS);
        loop {
            let at_ms = self.timer.now_ms().saturating_add(wait_ms);
            self.timer.sleep_until(at_ms).await;
            // The finder saves the list, and skips registries that asked the node to wait.
            let list = self.finder.find().await;
            let is_fresh = list.source == PeerSource::Registries && !list.peers.is_empty();
            let pause_ms = if is_fresh { PAUSE_MS } else { RETRY_MS };
            wait_ms = around(pause_ms, &mut rand::rng());
        }
    }

    /// Waits until the node is registered with one registry.
    async fn first_registration(&mut self) {
        let registered = self.states.iter_mut().map(|state| {
            // Fails only when the agent stops, which ends this loop as well.
            Box::pin(state.wait_for(|state| state.lease_until_ms.is_some()))
        });
        let _ = select_all(registered).await;
    }
}
