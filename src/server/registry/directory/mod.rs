//! The committed rows in memory.
//!
//! The directory equals the peer table after each commit. Only commits change its peers. Time
//! changes only which of them are active: reads and writes move expired peers out of the active
//! ones, each at most once per renewal.

mod compact_text;
mod digest;
mod fill;
mod history;
mod index;
mod interner;
mod listing;
mod membership;
mod memory;
mod peer;
mod peer_set;
mod pool;
mod ranked_set;
mod registered;
mod rows;
mod sharded;
mod sweep;
mod turn;
mod turn_servers;

pub(crate) use listing::{Bounds, ListedEntry, PeerListing, TurnListing};
pub(crate) use membership::Membership;
pub(crate) use peer::{DirectoryPeer, Include};

pub(crate) use digest::{profile_digest, registration_digest};
pub(crate) use fill::Filling;
pub(crate) use history::History;
pub(crate) use peer::turn_bytes;
pub(crate) use registered::{Directory, LeaseKey, MAX_OWN_ROW_ID};
pub(crate) use sharded::ShardedTable;
