//! What was read from the tables.

use super::quarantine::FaultyRow;
use crate::protocol::{PeerId, Tier};
use crate::server::model::{CostState, DayTraffic, Outage, StoredPeer, TurnSession};

/// What changes when somebody else writes to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataVersion {
    /// SQLite's number, which means something to one connection only.
    pub(crate) number: i64,
    /// Which connection that is; each new one counts up.
    pub(crate) connection: u64,
}

/// What a load has found beside the peers.
#[derive(Debug)]
pub(crate) struct Loaded {
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
pub(crate) struct PeerRows {
    /// The peers, in order of their rows.
    pub peers: Vec<StoredPeer>,
    /// Rows that could not be read, as in [`Loaded`].
    pub set_aside: Vec<FaultyRow>,
    /// The last row that was looked at, if there may be more behind it.
    pub next_after: Option<i64>,
}

/// What is known of TURN sessions and of what they cost.
#[derive(Debug, Default)]
pub(crate) struct RelayRows {
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
pub(crate) struct Memory {
    /// Outages that still count.
    pub outages: Vec<Outage>,
    /// All about TURN sessions and what they cost, with the traffic of this month.
    pub relay: RelayRows,
}
