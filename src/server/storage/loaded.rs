//! The results of reading the tables.

use super::quarantine::FaultyRow;
use crate::protocol::{PeerId, Tier};
use crate::server::model::{Claim, CostState, DayTraffic, Outage, StoredPeer, TurnSession};

/// Changes whenever another connection writes to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataVersion {
    /// SQLite's `data_version`, which is meaningful within one connection only.
    pub(crate) number: i64,
    /// The number of that connection. Each new one gets the next number.
    pub(crate) connection: u64,
}

/// The result of a load, without the peers.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// TURN sessions and the cost.
    pub relay: RelayRows,
    /// Ids that were proven.
    pub claims: Vec<Claim>,
    /// The version of the data.
    pub version: DataVersion,
    /// Rows that could not be read. If the database can be written, they are now in
    /// `peers_quarantine` and no longer in their tables.
    pub set_aside: Vec<FaultyRow>,
    /// The number of all rows in `peers_quarantine`, old and new.
    pub quarantined: u64,
}

/// Rows of the table `peers`.
#[derive(Debug, Default)]
pub(crate) struct PeerRows {
    /// The peers, in the order of their keys.
    pub peers: Vec<StoredPeer>,
    /// Rows that could not be read, see [`Loaded`].
    pub set_aside: Vec<FaultyRow>,
    /// The key of the last row read; `None` if there are no more rows after it.
    pub next_after: Option<i64>,
}

/// TURN sessions and the cost.
#[derive(Debug, Default)]
pub(crate) struct RelayRows {
    /// All sessions in the table.
    pub sessions: Vec<TurnSession>,
    /// The traffic of the requested days.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set.
    pub tiers: Vec<(PeerId, Tier)>,
    /// The cost state.
    pub state: CostState,
}

/// What the registry has in memory, without the peers. It replaces lost tables.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Outages that still affect leases.
    pub outages: Vec<Outage>,
    /// TURN sessions and the cost, with the traffic of this month.
    pub relay: RelayRows,
    /// Ids that were proven.
    pub claims: Vec<Claim>,
}
