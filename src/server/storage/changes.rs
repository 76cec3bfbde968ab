//! What one transaction does.

use std::sync::Arc;

use crate::protocol::{PeerId, Tier, TurnOffer};
use crate::server::model::{Claim, CostState, DayTraffic, Outage, StoredPeer, TurnSession};

/// Everything that one transaction does, in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The time of the transaction, in Unix milliseconds. Every lease that it grants or renews
    /// starts here.
    pub now_ms: i64,
    /// Whether to write at all. If false, only the version of the data is checked: the refusals
    /// of the batch are valid only if no other connection has changed the data since.
    pub is_written: bool,
    /// Outages during which the process was alive, to be recorded.
    pub outages: Vec<Outage>,
    /// The cleanup, which runs before the rest.
    pub cleanup: Option<Cleanup>,
    /// Peers to insert or to overwrite. An overwritten row keeps its `registered_at`.
    pub registrations: Vec<StoredPeer>,
    /// Rows of which only the TURN offer changes.
    pub turn_offers: Vec<OfferedTurn>,
    /// Rows of which only the lease is renewed: ascending, without duplicates.
    pub renewals: Vec<i64>,
    /// Peers to remove because they have unregistered, without duplicates.
    pub unregistered: Vec<UnregisteredPeer>,
    /// Ids that were proven, without duplicates.
    pub claims: Vec<Claim>,
    /// Ids whose claims end, without duplicates.
    pub forgotten_claims: Vec<PeerId>,
    /// Changes to TURN sessions and to the cost.
    pub relay: RelayChanges,
}

/// A registered peer's offer to relay.
#[derive(Clone, Debug)]
pub(crate) struct OfferedTurn {
    /// The peer's row.
    pub row_id: i64,
    /// The peer.
    pub peer_id: PeerId,
    /// The offer.
    pub offer: TurnOffer,
}

/// A peer that has unregistered.
#[derive(Clone, Debug)]
pub(crate) struct UnregisteredPeer {
    /// The peer's row.
    pub row_id: i64,
    /// The peer.
    pub peer_id: PeerId,
}

/// What one transaction changes in TURN sessions and in the cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RelayChanges {
    /// Sessions to insert or to overwrite, without duplicates.
    pub sessions: Vec<TurnSession>,
    /// Sessions to delete, without duplicates.
    pub forgotten: Vec<Arc<str>>,
    /// Traffic to add to each day, without duplicates. Days are counted from 1970-01-01.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set, at most one per peer.
    pub tiers: Vec<(PeerId, Tier)>,
    /// The new cost state; `None` if it has not changed.
    pub state: Option<CostState>,
}

/// Removes peers whose lease has run out.
#[derive(Debug)]
pub(crate) struct Cleanup {
    /// Peers last seen before this time, in Unix milliseconds, have expired.
    pub cutoff_ms: i64,
    /// The exclusive upper bound of what this cleanup removes, as `(last_seen, id)`. The next
    /// cleanup removes the rest, so that no transaction takes long.
    pub before: (i64, i64),
    /// Rows to keep, in ascending order: their peers sent a request that is in this batch.
    pub spared: Vec<i64>,
    /// The number of rows that it must remove.
    pub expected: usize,
}

/// The result of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    /// The changes are on disk. If there was nothing to write: the data is still at the given
    /// version.
    Done,
    /// Another connection has written since the given version. Nothing was changed.
    ChangedOutside,
}
