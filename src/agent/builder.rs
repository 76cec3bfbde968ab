//! The settings of an agent, and how it is started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::client::{RegistryClient, SetupError, Transport};
use super::discovery::{Connected, Connections, FallbackSettings, LastKnownGood, PeerFinder};
use super::events::Event;
use super::handle::{Agent, Parts};
use super::identity::Identity;
use super::registration::{check_network_id, within_limits};
use crate::protocol::authentication::KeyNames;
use crate::protocol::{Limits, PeerId, RegisterRequest};

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
    identity: Option<Identity>,
    registries: Vec<String>,
    transport: Option<Transport>,
    connections: Option<Connections>,
    fallback: FallbackSettings,
    sample: u32,
    last_known_good: Option<PathBuf>,
    limits: Limits,
}

impl AgentBuilder {
    fn new(registration: RegisterRequest) -> Self {
        Self {
            registration,
            identity: None,
            registries: Vec::new(),
            transport: None,
            connections: None,
            fallback: FallbackSettings {
                after: Duration::from_secs(10),
                enough_peers: 3,
            },
            sample: 50,
            last_known_good: None,
            limits: Limits::default(),
        }
    }

    /// Proves the key of `identity` to the registries, so that nobody else can register, renew or remove
    /// the node there. Without it, or without the private key in it, nothing is proven.
    ///
    /// Registries that do not know proofs get the same requests as without them.
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
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
    /// the fallback. For a watch channel, it is `move || *receiver.borrow()`. The agent calls it every
    /// ten seconds; it must neither block nor panic. After a panic the search for peers ends with
    /// [`Event::Failed`].
    ///
    /// [`connections`](Self::connections) also says which peers they are.
    pub fn connected_peers(self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.connections(move || Connected::Count(count()))
    }

    /// Like [`connected_peers`](Self::connected_peers), with the ids of the peers if the function
    /// returns [`Connected::Peers`]: the agent does not hand them out again.
    pub fn connections(mut self, ask: impl Fn() -> Connected + Send + Sync + 'static) -> Self {
        self.connections = Some(Connections::new(ask));
        self
    }

    /// Sets how long after the start the fallback first counts connections. Default 10 s. With less,
    /// the agent requests peers that the node may find by itself.
    pub fn fallback_after(mut self, after: Duration) -> Self {
        self.fallback.after = after;
        self
    }

    /// Sets how many connections are enough. Default 3. With fewer, the fallback looks for peers, at
    /// first after pauses of 10 s, which grow to ten minutes, and to 50 s while there is no connection
    /// at all.
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
    /// registration and about every hour. The file also keeps the keys that the registries have proven.
    /// Default `None`: both are kept in memory only.
    pub fn last_known_good(mut self, path: impl Into<PathBuf>) -> Self {
        self.last_known_good = Some(path.into());
        self
    }

    /// Sets the limits of the registries, for those whose operators have changed them. What exceeds
    /// them is left out of the registration before it is sent, see [`Event::Dropped`]. Default: the
    /// limits of the protocol.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts the agent on the current tokio runtime, which must have I/O and time enabled. It
    /// registers at once.
    ///
    /// If the runtime lacks one of them, [`Event::Failed`] says so.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is wrong, or says that there is no runtime. An
    /// unreachable registry is not an error: the agent tries again.
    pub fn start(self) -> Result<Agent, SetupError> {
        if self.registration.peer_id.as_str().is_empty() {
            return Err(SetupError::NoPeerId);
        }
        let peer_id = self.registration.peer_id.as_str();
        if let Err(error) = PeerId::parse_new(peer_id, "peerId", &self.limits) {
            let reason = error.message;
            return Err(SetupError::PeerId { reason });
        }
        let network_id = self.registration.network_id.as_deref();
        if let Some(network_id) = network_id.filter(|text| !text.trim().is_empty()) {
            check_network_id(network_id, &self.limits)?;
        }
        if let Some(identity) = &self.identity {
            check_names(identity, &self.registration.peer_id)?;
        }
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::new()?,
        };
        let clients = clients(self.registries, &transport, self.identity.as_ref())?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(SetupError::NoRuntime);
        }
        let timer = Arc::clone(transport.timer());
        let (registration, dropped) = within_limits(self.registration, &self.limits);
        let (registration, current) = watch::channel(Arc::new(registration));
        let keeps_list_fresh = self.last_known_good.is_some();
        let connections = self.connections.map(Arc::new);
        let last_known_good = LastKnownGood::new(self.last_known_good);
        let finder = PeerFinder::new(
            &clients,
            current,
            self.sample,
            last_known_good.clone(),
            connections.clone(),
            Arc::clone(&timer),
        );
        let registry = None;
        Ok(Agent::start(Parts {
            timer,
            clients,
            registration,
            limits: self.limits,
            finder,
            last_known_good,
            fallback: connections.map(|connections| (connections, self.fallback)),
            keeps_list_fresh,
            first_events: match dropped.is_empty() {
                true => Vec::new(),
                false => vec![Event::Dropped { registry, dropped }],
            },
        }))
    }
}

/// One client for each registry, without duplicates.
fn clients(
    urls: Vec<String>,
    transport: &Transport,
    identity: Option<&Identity>,
) -> Result<Vec<RegistryClient>, SetupError> {
    let mut clients: Vec<RegistryClient> = Vec::with_capacity(urls.len());
    for url in urls {
        let mut client = RegistryClient::new(&url, transport.clone())?;
        if let Some(identity) = identity {
            client = client.with_identity(identity);
        }
        if !clients.iter().any(|known| known.url() == client.url()) {
            clients.push(client);
        }
    }
    if clients.is_empty() {
        return Err(SetupError::NoRegistry);
    }
    Ok(clients)
}

/// Checks that the node has an id of its key: every registry would refuse another one.
fn check_names(identity: &Identity, registered: &PeerId) -> Result<(), SetupError> {
    match identity.keypair() {
        Some(keypair) if !KeyNames::of(&keypair.public()).include(registered) => {
            Err(SetupError::OtherIdentity {
                registered: registered.to_string(),
                identity: identity.peer_id().to_string(),
            })
        }
        _ => Ok(()),
    }
}
