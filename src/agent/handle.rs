//! A running agent.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::client::{ClientError, RegistryClient};
use super::discovery::{
    Connections, Fallback, FallbackSettings, LastKnownGood, PeerFinder, Refresh,
};
use super::events::{self, Event, Events};
use super::peer_list::PeerList;
use super::registration::{RegistrationLoop, RegistryState, within_limits};
use super::tasks::Tasks;
use crate::clock::Timer;
use crate::protocol::{Limits, ListedPeer, PeerId, RegisterRequest};

/// A running agent: it keeps the node registered for as long as this handle, or a clone of it,
/// lives.
///
/// Dropping the last handle stops the agent too, without waiting for it.
#[derive(Clone)]
#[must_use = "the agent stops when its last handle is dropped"]
pub struct Agent {
    inner: Arc<Inner>,
}

/// What all handles of an agent share. The tasks do not hold it, so the last handle ends them.
struct Inner {
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    timer: Arc<dyn Timer>,
    clients: Vec<RegistryClient>,
    registration: watch::Sender<Arc<RegisterRequest>>,
    limits: Limits,
    network_changes: watch::Sender<()>,
    states: Vec<watch::Receiver<RegistryState>>,
    finder: Arc<PeerFinder>,
    readers: Mutex<Readers>,
}

/// The side of the events that readers come from.
struct Readers {
    /// `None` after the agent was stopped.
    events: Option<broadcast::Sender<Event>>,
    /// For the first call of `events`, so that its reader misses nothing of the start.
    first: Option<broadcast::Receiver<Event>>,
}

/// What an agent consists of, before its tasks run.
pub(crate) struct Parts {
    pub(crate) timer: Arc<dyn Timer>,
    pub(crate) clients: Vec<RegistryClient>,
    pub(crate) registration: watch::Sender<Arc<RegisterRequest>>,
    pub(crate) limits: Limits,
    pub(crate) finder: PeerFinder,
    pub(crate) last_known_good: LastKnownGood,
    /// What the node is connected to, and when to look for peers.
    pub(crate) fallback: Option<(Arc<Connections>, FallbackSettings)>,
    pub(crate) keeps_list_fresh: bool,
    /// The events of the time before the start.
    pub(crate) first_events: Vec<Event>,
}

/// The channel of the events and its first reader, for whom these events wait already.
fn first_events(waiting: Vec<Event>) -> (broadcast::Sender<Event>, broadcast::Receiver<Event>) {
    let (events, first) = broadcast::channel(events::CAPACITY);
    for event in waiting {
        // Does not fail: the first reader is there.
        let _ = events.send(event);
    }
    (events, first)
}

impl Agent {
    /// Starts the tasks.
    pub(crate) fn start(parts: Parts) -> Self {
        let (events, first) = first_events(parts.first_events);
        let timer = parts.timer;
        let finder = Arc::new(parts.finder);
        let network_changes = watch::Sender::new(());
        let wake = watch::Sender::new(());
        let mut tasks = Tasks::default();
        let mut states = Vec::new();
        for client in &parts.clients {
            let name = format!("the registration with {}", client.url());
            let registration_loop = RegistrationLoop::new(
                client.clone(),
                parts.last_known_good.clone(),
                Arc::clone(&timer),
                parts.registration.subscribe(),
                network_changes.subscribe(),
                wake.clone(),
                events.clone(),
            );
            states.push(registration_loop.state());
            tasks.spawn(name, events.clone(), registration_loop.run());
        }
        if parts.keeps_list_fresh {
            let refresh = Refresh {
                finder: Arc::clone(&finder),
                timer: Arc::clone(&timer),
                states: states.clone(),
            };
            let name = "the file with the last good list".to_owned();
            tasks.spawn(name, events.clone(), refresh.run());
        }
        if let Some((connections, settings)) = parts.fallback {
            let fallback = Fallback {
                settings,
                connections,
                finder: Arc::clone(&finder),
                timer: Arc::clone(&timer),
                events: events.clone(),
                wake: wake.subscribe(),
                network_changes: network_changes.clone(),
            };
            let name = "the search for peers".to_owned();
            tasks.spawn(name, events.clone(), fallback.run(timer.now_ms()));
        }
        Self {
            inner: Arc::new(Inner {
                tasks: tasks.into_shared(),
                timer,
                clients: parts.clients,
                registration: parts.registration,
                limits: parts.limits,
                network_changes,
                states,
                finder,
                readers: Mutex::new(Readers {
                    events: Some(events),
                    first: Some(first),
                }),
            }),
        }
    }

    /// The state of the node's registration with each registry, in the order in which the
    /// registries were added.
    pub fn state(&self) -> Vec<RegistryState> {
        let states = self.inner.states.iter();
        states.map(|state| state.borrow().clone()).collect()
    }

    /// Whether the node has a lease with at least one registry, as far as the node knows.
    pub fn is_registered(&self) -> bool {
        let now_ms = self.inner.timer.now_ms();
        let mut states = self.inner.states.iter();
        states.any(|state| state.borrow().is_registered(now_ms))
    }

    /// The events from now on. The first call returns the events since the start.
    ///
    /// The last 64 events wait for each reader. A slower reader gets
    /// [`Event::Missed`] with the number of events that it missed. No reader blocks the agent. The
    /// events end when the agent is stopped.
    pub fn events(&self) -> Events {
        let mut readers = self.readers();
        let receiver = match (readers.first.take(), &readers.events) {
            (Some(first), _) => first,
            (None, Some(events)) => events.subscribe(),
            // A channel without a sender: the events of a stopped agent have ended.
            (None, None) => broadcast::channel(1).1,
        };
        Events::new(receiver)
    }

    /// Announces `registration` from now on. Every registry gets it at once, except one that is
    /// unreachable or has asked the node to wait: that one gets it at the next planned request.
    ///
    /// What no registry takes is left out first, see [`Event::Dropped`]. A wrong `networkId` is not left out,
    /// since the node would then be in all networks: each registry refuses it
    /// ([`check_network_id`](super::check_network_id) tells before).
    pub fn update_registration(&self, registration: impl Into<RegisterRequest>) {
        let (registration, dropped) = within_limits(registration.into(), &self.inner.limits);
        if let (false, Some(events)) = (dropped.is_empty(), &self.readers().events) {
            let registry = None;
            // Fails if there is no reader, which is fine.
            let _ = events.send(Event::Dropped { registry, dropped });
        }
        self.inner.registration.send_replace(Arc::new(registration));
    }

    /// Tells the agent that the network has changed, e.g. that a laptop has joined another one. It
    /// then tries registries again that were unreachable, and looks for peers if the node has too few
    /// connections. It also announces the node again where it stays replaced by another one
    /// ([`Event::Replaced`]).
    ///
    /// With a function for its connections ([`AgentBuilder::connections`](super::AgentBuilder::connections)),
    /// the agent notices by itself within ten seconds when the machine's addresses change.
    pub fn network_changed(&self) {
        self.inner.network_changes.send_replace(());
    }

    /// Requests a sample of peers from all registries, without the node itself and without the peers
    /// that it says it is connected to, and merges the lists. If no registry names a peer, returns the
    /// last good list, marked with its age.
    pub async fn peers(&self) -> PeerList {
        self.inner.finder.find().await
    }

    /// Looks up one active peer at all registries, e.g. to connect to a peer whose id is known. Returns
    /// the newest entry; `None` if no registry lists the peer.
    pub async fn peer(&self, peer_id: &PeerId) -> Option<ListedPeer> {
        self.inner.finder.find_one(peer_id).await
    }

    /// Stops the agent and waits until all its tasks have ended. A request in flight is cancelled.
    /// The node stays listed until its lease ends.
    ///
    /// All handles of the agent are stopped by it, and all readers of its events get to their end.
    pub async fn stop(&self) {
        self.inner.tasks.lock().await.shutdown().await;
        self.readers().events = None;
    }

    /// Stops the agent like [`stop`](Self::stop), and removes the node from all registries at once. The
    /// node must have its key ([`AgentBuilder::identity`](super::AgentBuilder::identity)).
    ///
    /// Returns why registries did not remove the node; it stays listed there until its lease ends. A
    /// registry that does not know the node is no failure.
    pub async fn unregister(&self) -> Vec<ClientError> {
        self.stop().await;
        let peer_id = self.inner.registration.borrow().peer_id.clone();
        let clients = self.inner.clients.iter();
        let removals = join_all(clients.map(|client| client.unregister(&peer_id))).await;
        let failures = removals.into_iter().filter_map(Result::err);
        failures
            .filter(|error| !error.is_peer_not_found())
            .collect()
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Readers> {
        let readers = self.inner.readers.lock();
        readers.unwrap_or_else(PoisonError::into_inner)
    }
}
