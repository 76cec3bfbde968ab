//! All SQL of the registry, over one SQLite connection.
//!
//! The registry commits in groups: a [`Changes`] is everything one transaction does, set by set
//! rather than row by row. `synchronous=FULL` makes a commit survive kill -9 and power loss.

mod access;
mod batch;
mod cost;
mod error;
mod files;
mod load;
mod lock;
mod open;
mod overwritten;
mod peers;
mod quarantine;
mod rescue;
mod schema;
mod sessions;
mod settle;
mod slot;
mod store;
mod turn;
mod uptime;

use std::sync::Arc;

use crate::protocol::{PeerId, Tier, TurnOffer};
use crate::server::model::{DayTraffic, StoredPeer, TurnSession};
use crate::server::policy::cost::CostState;
use crate::server::policy::lease::Outage;

pub use error::StorageError;
pub use files::{Deed, FileGone, FilesLost};
pub use open::OpenError;
pub use quarantine::FaultyRow;
pub use rescue::Known;
pub use store::Store;
pub use uptime::Resumed;

/// What changes when somebody else writes to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataVersion {
    /// SQLite's number, which means something to one connection only.
    number: i64,
    /// Which connection that is; each new one counts up.
    connection: u64,
}

/// Everything that one transaction does, in this order.
#[derive(Debug, Default)]
pub struct Changes {
    /// The moment of the transaction, in Unix milliseconds; every lease it touches starts here.
    pub now_ms: i64,
    /// Whether there is a transaction at all. If not, only the version of the data is checked: what
    /// was refused must not be refused for rows that are there by now.
    pub is_written: bool,
    /// Outages to record that the process lived through.
    pub outages: Vec<Outage>,
    /// The cleanup to run before anything else.
    pub cleanup: Option<Cleanup>,
    /// Peers to insert, or to overwrite but for `registered_at`.
    pub registrations: Vec<StoredPeer>,
    /// Rows whose TURN offer alone changes.
    pub turn_offers: Vec<OfferedTurn>,
    /// Rows whose lease alone is renewed, in order, each once.
    pub renewals: Vec<i64>,
    /// What changes of TURN sessions and of what they cost.
    pub relay: RelayChanges,
}

/// A registered peer's offer to relay.
#[derive(Clone, Debug)]
pub struct OfferedTurn {
    /// The peer's row.
    pub row_id: i64,
    /// The peer.
    pub peer_id: PeerId,
    /// What it offers.
    pub offer: TurnOffer,
}

/// What one transaction changes of TURN sessions and of what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelayChanges {
    /// Sessions to insert or to overwrite, each once.
    pub sessions: Vec<TurnSession>,
    /// Sessions to forget, each once.
    pub forgotten: Vec<Arc<str>>,
    /// What to add to the traffic of days, which are counted from 1970-01-01, each once.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set, each peer once.
    pub tiers: Vec<(PeerId, Tier)>,
    /// How tight the registry is now, if that has changed.
    pub state: Option<CostState>,
}

/// What a load has found beside the peers.
#[derive(Debug)]
pub struct Loaded {
    /// What is known of TURN sessions and of what they cost.
    pub relay: RelayRows,
    /// The version of the data.
    pub version: DataVersion,
    /// Rows that could not be read. If the database takes writes, they are in `peers_quarantine`
    /// now and in their tables no more.
    pub set_aside: Vec<FaultyRow>,
    /// How many rows are in `peers_quarantine`, from whenever.
    pub quarantined: u64,
}

/// Rows of peers that were read.
#[derive(Debug, Default)]
pub struct PeerRows {
    /// The peers, in order of their rows.
    pub peers: Vec<StoredPeer>,
    /// Rows that could not be read, as in [`Loaded`].
    pub set_aside: Vec<FaultyRow>,
    /// The last row that was looked at, if there may be more behind it.
    pub next_after: Option<i64>,
}

/// What is known of TURN sessions and of what they cost.
#[derive(Debug, Default)]
pub struct RelayRows {
    /// All sessions that are not forgotten.
    pub sessions: Vec<TurnSession>,
    /// The traffic of the days that were asked for.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set.
    pub tiers: Vec<(PeerId, Tier)>,
    /// How tight the registry was.
    pub state: CostState,
}

/// What the registry knows beside the peers, to be written where its tables are lost.
#[derive(Debug, Default)]
pub struct Memory {
    /// Outages that still count.
    pub outages: Vec<Outage>,
    /// All about TURN sessions and what they cost, with the traffic of this month.
    pub relay: RelayRows,
}

/// A removal of the peers whose lease has run out.
#[derive(Debug)]
pub struct Cleanup {
    /// It removes peers last seen before this moment, in Unix milliseconds.
    pub cutoff_ms: i64,
    /// Of these it removes the ones before this place in the order of `last_seen` and row: the rest
    /// is for the next cleanup, so that none takes long.
    pub before: (i64, i64),
    /// Rows that it spares, in ascending order: their peers sent one of these very changes.
    pub spared: Vec<i64>,
    /// How many rows it must find.
    pub expected: usize,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The changes are on disk; if there were none, the data is still at the version given.
    Done,
    /// Somebody else has written to the database since the version given; nothing was changed.
    ChangedOutside,
}
