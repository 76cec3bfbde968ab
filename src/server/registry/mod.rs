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

pub(super) use directory::{Bounds, Include, ListedEntry, Membership, PeerListing};
pub(super) use error::RegistryError;
pub(super) use handle::{Registry, Started};
pub(super) use pulse::{Pulse, Stuck};
pub(super) use queries::{ListPeers, Peers, Status};
pub(super) use relay::{CostStatus, GrantedSession, SentBytes};
pub(super) use reply::{Allocation, Reported, SettingSaved};
