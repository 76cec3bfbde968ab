//! What one transaction does.

use std::sync::Arc;

use crate::protocol::{PeerId, Tier, TurnOffer};
use crate::server::model::{CostState, DayTraffic, Outage, StoredPeer, TurnSession};

/// Everything that one transaction does, in this order.
#[derive(Debug, Default)]
pub(crate) struct Changes {
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
pub(crate) struct OfferedTurn {
    /// The peer's row.
    pub row_id: i64,
    /// The peer.
    pub peer_id: PeerId,
    /// What it offers.
    pub offer: TurnOffer,
}

/// What one transaction changes of TURN sessions and of what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RelayChanges {
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

/// A removal of the peers whose lease has run out.
#[derive(Debug)]
pub(crate) struct Cleanup {
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
pub(crate) enum CommitOutcome {
    /// The changes are on disk; if there were none, the data is still at the version given.
    Done,
    /// Somebody else has written to the database since the version given; nothing was changed.
    ChangedOutside,
}
