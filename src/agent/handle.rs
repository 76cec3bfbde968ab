//! A running agent.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::builder::AgentBuilder;
use super::client::RegistryClient;
use super::events::{Event, Events};
use super::fallback::{Fallback, FallbackSettings, PeerCount};
use super::peers::{PeerFinder, PeerList};
use super::refresh::Refresh;
use super::session::{RegistryState, Session};
use crate::clock::Timer;
use crate::protocol::RegisterRequest;

/// A running agent: it keeps the node registered for as long as this handle lives.
///
/// Dropping the handle stops the agent too, without waiting for it.
pub struct Agent {
    pub(super) tasks: JoinSet<()>,
    pub(super) timer: Arc<dyn Timer>,
    pub(super) registration: watch::Sender<Arc<RegisterRequest>>,
    pub(super) states: Vec<watch::Receiver<RegistryState>>,
    pub(super) finder: Arc<PeerFinder>,
    pub(super) events: broadcast::Sender<Event>,
    /// For the first who asks, so that nothing of the start is missed.
    pub(super) first_reader: Mutex<Option<broadcast::Receiver<Event>>>,
}

impl Agent {
    /// Prepares an agent that announces `registration`, e.g. a
    /// [`Registration`](super::Registration).
    pub fn builder(registration: impl Into<RegisterRequest>) -> AgentBuilder {
        AgentBuilder::new(registration.into())
    }

    /// Starts the loop for one registry.
    pub(super) fn keep_registered(
        &mut self,
        client: RegistryClient,
        registration: watch::Receiver<Arc<RegisterRequest>>,
    ) {
        let timer = Arc::clone(&self.timer);
        let session = Session::new(client, timer, registration, self.events.clone());
        self.states.push(session.state());
        self.tasks.spawn(session.run());
    }

    /// Starts the loop that looks for peers while there are too few.
    pub(super) fn look_for_peers(&mut self, settings: FallbackSettings, peer_count: PeerCount) {
        let fallback = Fallback {
            settings,
            peer_count,
            finder: Arc::clone(&self.finder),
            timer: Arc::clone(&self.timer),
            events: self.events.clone(),
        };
        self.tasks.spawn(fallback.run(self.timer.now_ms()));
    }

    /// Starts the loop that keeps the last good list fresh.
    pub(super) fn keep_list_fresh(&mut self) {
        let refresh = Refresh {
            finder: Arc::clone(&self.finder),
            timer: Arc::clone(&self.timer),
            states: self.states.clone(),
        };
        self.tasks.spawn(refresh.run());
    }

    /// How the node stands with each registry, in the order in which they were given.
    pub fn state(&self) -> Vec<RegistryState> {
        self.states
            .iter()
            .map(|state| state.borrow().clone())
            .collect()
    }

    /// Whether the node holds a lease with at least one registry, by its own reckoning.
    pub fn is_registered(&self) -> bool {
        let now_ms = self.timer.now_ms();
        self.states
            .iter()
            .any(|state| state.borrow().is_registered(now_ms))
    }

    /// The events from now on; for the first who asks, from the start on.
    ///
    /// The last 64 events wait for a reader. One that is slower than that is told how many it has
    /// missed; no reader holds up the agent.
    pub fn events(&self) -> Events {
        let first = self
            .first_reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Events::new(first.unwrap_or_else(|| self.events.subscribe()))
    }

    /// Announces something else from now on: to every registry at once, but to one that is out of
    /// reach or has asked for patience at the next step planned.
    pub fn update_registration(&self, registration: impl Into<RegisterRequest>) {
        self.registration
            .send_replace(Arc::new(registration.into()));
    }

    /// Asks all registries for a sample of peers, the node itself excluded, and merges what they
    /// say. If none of them names a peer, the last good list is returned, marked with its age.
    pub async fn peers(&self) -> PeerList {
        self.finder.find().await
    }

    /// Stops the agent and waits until nothing of it runs any more. A request under way is given
    /// up; the node stays listed until its lease runs out.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
