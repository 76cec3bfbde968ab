//! The settings of an agent, and how it is started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::client::{RegistryClient, SetupError, Transport};
use super::discovery::{FallbackSettings, LastKnownGood, PeerCount, PeerFinder};
use super::handle::Agent;
use crate::protocol::RegisterRequest;

impl Agent {
    /// Prepares an agent that announces `registration`, e.g. a
    /// [`Registration`](super::Registration).
    pub fn builder(registration: impl Into<RegisterRequest>) -> AgentBuilder {
        AgentBuilder::new(registration.into())
    }
}

/// The settings of an [`Agent`], from [`Agent::builder`].
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
    fn new(registration: RegisterRequest) -> Self {
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

    /// Adds a registry, e.g. `https://registry.example.org`. The agent keeps the node registered
    /// with every registry that is added.
    pub fn registry(mut self, url: impl Into<String>) -> Self {
        self.registries.push(url.into());
        self
    }

    /// Adds registries.
    pub fn registries(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.registries.extend(urls.into_iter().map(Into::into));
        self
    }

    /// Sets the transport, with its clock and timeout. Default: a new one with [`Transport::new`].
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Sets the function that returns the number of peers the node is connected to, which enables
    /// the fallback. For a watch channel, it is `move || *receiver.borrow()`. The agent calls it from
    /// time to time; it must not block.
    pub fn connected_peers(mut self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.peer_count = Some(Box::new(count));
        self
    }

    /// Sets how long after the start the fallback first counts connections. Default 10 s. With less,
    /// the agent requests peers that the node may find by itself.
    pub fn fallback_after(mut self, after: Duration) -> Self {
        self.fallback.after = after;
        self
    }

    /// Sets how many connections are enough. Default 3. With fewer, the fallback looks for peers.
    pub fn enough_peers(mut self, count: usize) -> Self {
        self.fallback.enough_peers = count;
        self
    }

    /// Sets how many peers to request from each registry. Default 50.
    pub fn peer_sample(mut self, count: u32) -> Self {
        self.sample = count;
        self
    }

    /// Keeps the last list that names a peer in the file at `path`, so that a node can start while
    /// every registry is down. The agent then fetches a list within 5 min after the first
    /// registration and about every hour. Default `None`: the last list is kept in memory only.
    pub fn last_known_good(mut self, path: impl Into<PathBuf>) -> Self {
        self.last_known_good = Some(path.into());
        self
    }

    /// Starts the agent on the current tokio runtime. It registers at once.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is wrong. An unreachable registry is not an error: the
    /// agent tries again.
    ///
    /// # Panics
    /// If there is no tokio runtime with time and I/O enabled.
    pub fn start(self) -> Result<Agent, SetupError> {
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::new()?,
        };
        let clients = clients(self.registries, &transport)?;
        let timer = Arc::clone(transport.timer());
        let (registration, current) = watch::channel(Arc::new(self.registration));
        let keeps_file = self.last_known_good.is_some();
        let last_known_good = LastKnownGood::new(self.last_known_good);
        let clock = Arc::clone(&timer);
        let finder = PeerFinder::new(&clients, current, self.sample, last_known_good, clock);
        let mut agent = Agent::new(registration, finder, timer);
        for client in clients {
            agent.keep_registered(client);
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

/// One client for each registry, without duplicates.
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
