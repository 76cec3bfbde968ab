//! What an agent is told at its start.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use super::client::RegistryClient;
use super::error::SetupError;
use super::events;
use super::fallback::{FallbackSettings, PeerCount};
use super::handle::Agent;
use super::last_known_good::LastKnownGood;
use super::peers::{PeerFinder, Source};
use super::transport::Transport;
use crate::protocol::RegisterRequest;

/// Settings of an [`Agent`]; made by [`Agent::builder`].
#[must_use = "an agent does nothing before start"]
pub struct AgentBuilder {
    registration: RegisterRequest,
    registries: Vec<String>,
    transport: Option<Transport>,
    peer_count: Option<PeerCount>,
    fallback: FallbackSettings,
    sample: u32,
    last_known_good: Option<PathBuf>,
}

impl AgentBuilder {
    pub(super) fn new(registration: RegisterRequest) -> Self {
        Self {
            registration,
            registries: Vec::new(),
            transport: None,
            peer_count: None,
            fallback: FallbackSettings {
                after: Duration::from_secs(10),
                enough_peers: 3,
            },
            sample: 50,
            last_known_good: None,
        }
    }

    /// Adds a registry, e.g. `https://registry.example.org`. The node is kept registered with all.
    pub fn registry(mut self, url: impl Into<String>) -> Self {
        self.registries.push(url.into());
        self
    }

    /// Adds registries.
    pub fn registries(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.registries.extend(urls.into_iter().map(Into::into));
        self
    }

    /// Shares a transport, with its clock and its timeout. Default one of the agent's own.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Tells how many peers the node is connected to, and so turns the fallback on. For a watch
    /// channel, `move || *receiver.borrow()`. Called from time to time; must not block.
    pub fn connected_peers(mut self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.peer_count = Some(Box::new(count));
        self
    }

    /// Sets how long after the start the fallback counts connections. Default 10 s; shorter asks
    /// registries for what the node may find by itself.
    pub fn fallback_after(mut self, after: Duration) -> Self {
        self.fallback.after = after;
        self
    }

    /// Sets how many connections are enough. Default 3; with fewer, the fallback looks for peers.
    pub fn enough_peers(mut self, count: usize) -> Self {
        self.fallback.enough_peers = count;
        self
    }

    /// Sets how many peers each registry is asked for. Default 50.
    pub fn peer_sample(mut self, count: u32) -> Self {
        self.sample = count;
        self
    }

    /// Keeps the last list that named a peer in the file at `path`, for a start while every
    /// registry is down; the list is then fetched soon after the first registration and about
    /// every hour. Default none, which keeps the last one that was asked for in memory.
    pub fn last_known_good(mut self, path: impl Into<PathBuf>) -> Self {
        self.last_known_good = Some(path.into());
        self
    }

    /// Starts the agent on the current tokio runtime: it registers at once.
    ///
    /// # Errors
    /// Names the setting at fault. Whether a registry can be reached is not known yet, and no
    /// error: the agent goes on trying.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub fn start(self) -> Result<Agent, SetupError> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::new()?,
        };
        let clients = clients(self.registries, &transport)?;
        let timer = Arc::clone(transport.timer());
        let (registration, registered) = watch::channel(Arc::new(self.registration));
        let (events, first_reader) = broadcast::channel(events::CAPACITY);
        let keeps_file = self.last_known_good.is_some();
        let mut agent = Agent {
            tasks: JoinSet::new(),
            states: Vec::with_capacity(clients.len()),
            finder: Arc::new(PeerFinder {
                sources: clients.iter().cloned().map(Source::new).collect(),
                registration: registered.clone(),
                sample: self.sample,
                last_known_good: LastKnownGood::new(self.last_known_good),
                timer: Arc::clone(&timer),
            }),
            registration,
            events,
            first_reader: Mutex::new(Some(first_reader)),
            timer,
        };
        for client in clients {
            agent.keep_registered(client, registered.clone());
        }
        if keeps_file {
            agent.keep_list_fresh();
        }
        if let Some(peer_count) = self.peer_count {
            agent.look_for_peers(self.fallback, peer_count);
        }
        Ok(agent)
    }
}

/// A client for each registry, each once.
fn clients(urls: Vec<String>, transport: &Transport) -> Result<Vec<RegistryClient>, SetupError> {
    let mut clients: Vec<RegistryClient> = Vec::with_capacity(urls.len());
    for url in urls {
        let client = RegistryClient::new(&url, transport.clone())?;
        if !clients.iter().any(|known| known.url() == client.url()) {
            clients.push(client);
        }
    }
    if clients.is_empty() {
        return Err(SetupError::NoRegistry);
    }
    Ok(clients)
}
