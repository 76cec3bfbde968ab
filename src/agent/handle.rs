//! A running agent.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::client::RegistryClient;
use super::discovery::{Fallback, FallbackSettings, PeerCount, PeerFinder, Refresh};
use super::events::{self, Event, Events};
use super::peer_list::PeerList;
use super::registration::{RegistrationLoop, RegistryState};
use crate::clock::Timer;
use crate::protocol::RegisterRequest;

/// A running agent: it keeps the node registered for as long as this handle lives.
///
/// Dropping the handle stops the agent too, without waiting for it.
pub struct Agent {
    tasks: JoinSet<()>,
    timer: Arc<dyn Timer>,
    registration: watch::Sender<Arc<RegisterRequest>>,
    states: Vec<watch::Receiver<RegistryState>>,
    finder: Arc<PeerFinder>,
    events: broadcast::Sender<Event>,
    /// For the first call of `events`, so that its reader misses nothing of the start.
    first_reader: Mutex<Option<broadcast::Receiver<Event>>>,
}

impl Agent {
    /// An agent that announces `registration`, with no loop started yet.
    pub(crate) fn new(
        registration: watch::Sender<Arc<RegisterRequest>>,
        finder: PeerFinder,
        timer: Arc<dyn Timer>,
    ) -> Self {
        let (events, first_reader) = broadcast::channel(events::CAPACITY);
        Self {
            tasks: JoinSet::new(),
            timer,
            registration,
            states: Vec::new(),
            finder: Arc::new(finder),
            events,
            first_reader: Mutex::new(Some(first_reader)),
        }
    }

    /// Starts the loop for one registry.
    pub(crate) fn keep_registered(&mut self, client: RegistryClient) {
        let timer = Arc::clone(&self.timer);
        let registration = self.registration.subscribe();
        let registration_loop =
            RegistrationLoop::new(client, timer, registration, self.events.clone());
        self.states.push(registration_loop.state());
        self.tasks.spawn(registration_loop.run());
    }

    /// Starts the loop that looks for peers while the node has too few connections.
    pub(crate) fn look_for_peers(&mut self, settings: FallbackSettings, peer_count: PeerCount) {
        let fallback = Fallback {
            settings,
            peer_count,
            finder: Arc::clone(&self.finder),
            timer: Arc::clone(&self.timer),
            events: self.events.clone(),
        };
        self.tasks.spawn(fallback.run(self.timer.now_ms()));
    }

    /// Starts the loop that keeps the last good list up to date, after all registries are added.
    pub(crate) fn keep_list_fresh(&mut self) {
        let refresh = Refresh {
            finder: Arc::clone(&self.finder),
            timer: Arc::clone(&self.timer),
            states: self.states.clone(),
        };
        self.tasks.spawn(refresh.run());
    }

    /// The state of the node's registration with each registry, in the order in which the
    /// registries were added.
    pub fn state(&self) -> Vec<RegistryState> {
        self.states
            .iter()
            .map(|state| state.borrow().clone())
            .collect()
    }

    /// Whether the node has a lease with at least one registry, as far as the node knows.
    pub fn is_registered(&self) -> bool {
        let now_ms = self.timer.now_ms();
        self.states
            .iter()
            .any(|state| state.borrow().is_registered(now_ms))
    }

    /// The events from now on. The first call returns the events since the start.
    ///
    /// The last 64 events wait for each reader. A slower reader gets
    /// [`Event::Missed`] with the number of events that it missed. No reader blocks the agent.
    pub fn events(&self) -> Events {
        let first = self
            .first_reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Events::new(first.unwrap_or_else(|| self.events.subscribe()))
    }

    /// Announces `registration` from now on. Every registry gets it at once, except one that is
    /// unreachable or has asked the node to wait: that one gets it at the next planned request.
    pub fn update_registration(&self, registration: impl Into<RegisterRequest>) {
        self.registration
            .send_replace(Arc::new(registration.into()));
    }

    /// Requests a sample of peers from all registries, without the node itself, and merges the
    /// lists. If no registry names a peer, returns the last good list, marked with its age.
    pub async fn peers(&self) -> PeerList {
        self.finder.find().await
    }

    /// Stops the agent and waits until all its loops have ended. A request in flight is cancelled.
    /// The node stays listed until its lease ends.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
