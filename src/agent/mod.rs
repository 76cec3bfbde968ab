//! The node's side: keeps a node registered for as long as it lives.
//!
//! An [`Agent`] registers the node with one or several registries, renews its leases, and takes
//! restarts, outages, lost networks and throttling without attention and without making an outage
//! worse. While the node has too few connections, it looks for peers. The events tell what happens.
//!
//! ```no_run
//! use peer_registry::agent::{Agent, Identity, Registration};
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::load_or_create("node.key")?;
//! let agent = Agent::builder(Registration::new(&identity, 4001))
//!     .registry("https://registry.example.org")
//!     .start()?;
//! // ... for as long as the node runs ...
//! agent.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A registry that answers 429 or 503 is left alone for as long as its `Retry-After` says. One that
//! does not answer is tried again with growing pauses. The node registers again only when the
//! registry says `peer_not_found`, or the lease must have run out.
//!
//! [`RegistryClient`] sends single requests, for nodes that keep their own time.
//!
//! Settings are values handed in: nothing here reads the environment or a configuration file.

mod builder;
mod client;
mod discovery;
pub mod doctor;
mod draft_file;
mod events;
mod handle;
mod identity;
mod peer_list;
mod registration;

pub use builder::AgentBuilder;
pub use client::{ClientError, MAX_RETRY_AFTER, PeersQuery, RegistryClient, SetupError, Transport};
pub use events::{Event, Events};
pub use handle::Agent;
pub use identity::{Identity, IdentityError};
pub use peer_list::{PeerList, PeerSource, merge_peers};
pub use registration::{Registration, RegistryState, Step};
