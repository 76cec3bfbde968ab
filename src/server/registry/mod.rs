//! The registry: one actor, its queue, and the tables in memory.
//!
//! [`handle`] wraps a request as a [`pending`] request in a [`mutation`] and puts it into the
//! [`inbox`]. The [`actor`] plans all waiting mutations as one [`batch`], commits it to the
//! [`tables`], applies it to the [`state`], and sends each [`reply`]. Readers pass
//! [`queries`] to the [`view`], which reads the state without a message to the actor.

mod actor;
mod batch;
mod claims;
mod counters;
mod directory;
mod error;
mod handle;
mod inbox;
mod journal;
mod messages;
mod mutation;
mod pending;
mod pulse;
mod queries;
mod recent_readers;
mod relay;
mod reply;
mod resync;
mod sign;
mod state;
mod tables;
mod view;

pub(crate) use directory::{Bounds, Include, ListedEntry, Membership, PeerListing};
pub(crate) use error::RegistryError;
pub(crate) use handle::{Registry, Started};
pub(crate) use pulse::{Pulse, Stuck};
pub(crate) use queries::{ListPeers, Peers, Status};
pub(crate) use relay::{CostStatus, GrantedSession, SentBytes};
pub(crate) use reply::{Allocation, Noted, Receipt, Renewed, Reported, SettingSaved};
