//! The registry: one actor, its queue, and what is on disk as it stands in memory.
//!
//! A request goes from [`handle`] as a [`pending`] request of a [`mutation`] into the [`inbox`]. The
//! [`actor`] plans all that wait as one [`batch`], commits it to the [`tables`], makes the [`state`]
//! follow, and sends each [`reply`]. Readers send [`queries`] to the [`view`], which never asks the
//! actor.

mod actor;
mod batch;
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
mod relay;
mod reply;
mod resync;
mod state;
mod tables;
mod view;

pub(crate) use directory::{Bounds, Include, ListedEntry, Membership, PeerListing};
pub(crate) use error::RegistryError;
pub(crate) use handle::{Registry, Started};
pub(crate) use pulse::{Pulse, Stuck};
pub(crate) use queries::{ListPeers, Peers, Status};
pub(crate) use relay::{CostStatus, GrantedSession, SentBytes};
pub(crate) use reply::{Allocation, Reported, SettingSaved};
