//! The node's side: keeps a node registered for as long as it lives.
//!
//! An [`Agent`] registers the node with one or several registries and renews its leases. It handles
//! restarts, outages, lost networks and throttling by itself, and does not make an outage worse.
//! While the node has too few connections, the agent looks for peers. Its events say what happens.
//!
//! ```no_run
//! use peer_registry::agent::{Agent, Identity, Registration};
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::load_or_create("node.key")?;
//! let agent = Agent::builder(Registration::new(&identity, 4001))
//!     .identity(&identity)
//!     .registry("https://registry.example.org")
//!     .start()?;
//! // ... for as long as the node runs ...
//! agent.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! After a 429 or 503 the agent waits as long as the `Retry-After` header says. If there is no
//! response, it tries again with growing pauses. The node registers again only when the registry
//! says `peer_not_found`, or when its lease must have ended.
//!
//! With its [`Identity`] the agent proves the node's key to each registry. From then on nobody else can
//! register, renew or remove the node there.
//!
//! [`RegistryClient`] sends single requests, for nodes with their own schedule.
//!
//! Settings are parameters: nothing here reads a configuration file. Of the environment only the usual
//! variables of HTTP clients are read, unless the caller passes its own client
//! ([`Transport::with_client`]): `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, and
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` with certificate authorities to trust.

mod builder;
mod client;
mod discovery;
pub mod doctor;
mod events;
mod handle;
mod identity;
mod peer_list;
mod registration;
mod tasks;

/// The crate of the keys that [`Identity`] takes.
pub use ::libp2p_identity;
/// The crate of the HTTP client that [`Transport::with_client`] takes.
pub use ::reqwest;
pub use builder::AgentBuilder;
pub use client::{
    ClientError, MAX_RETRY_AFTER, ProofNotice, RefusalCode, RegistryClient, SetupError, Transport,
};
pub use discovery::Connected;
pub use events::{Event, Events};
pub use handle::Agent;
pub use identity::{Identity, IdentityError};
pub use peer_list::{PeerList, PeerSource, merge_peers};
pub use registration::{Registration, RegistryState, Step, check_network_id, within_limits};
