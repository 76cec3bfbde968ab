//! Follows a table that an operator has changed, or that was out of reach, without a stop.
//!
//! What was changed is not known. So all rows are compared with the directory, some at a time, and
//! batches are written in between: the rows of their peers are read first, which makes the
//! directory right wherever a batch looks. Nothing is cleaned up until all rows have been compared,
//! as a cleanup looks everywhere.

use std::collections::HashSet;

use super::batch::Batch;
use super::mutation::Mutation;
use super::state::State;
use crate::protocol::PeerId;
use crate::server::model::StoredPeer;
use crate::server::storage::PeerRows;

/// Rows that are compared at a time: a few milliseconds.
pub(crate) const SLICE_ROWS: usize = 250;

/// Parts of the directory that are looked through at a time for peers without a row.
const SLICE_PARTS: usize = 4;

/// How far the comparison has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resync {
    /// Rows behind this key are to be read.
    Rows { after: i64 },
    /// All rows have been read; peers without one are to be removed from this part on.
    Peers { part: usize },
}

/// The comparison under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// How far it has come.
    pub step: Option<Resync>,
    /// Since when there has always been one, in machine milliseconds.
    pub since_ms: Option<i64>,
    /// Whether the table has changed since it began.
    pub is_stale: bool,
    /// Whether its next step comes before the next batch: the two take turns.
    pub is_next: bool,
}

impl Resync {
    /// The first step.
    pub(crate) fn new() -> Self {
        Self::Rows { after: i64::MIN }
    }
}

/// The peers whose rows a batch may touch.
pub(crate) fn peers_of(batch: &Batch) -> Vec<PeerId> {
    let ids = batch.mutations.iter().filter_map(Mutation::peer_id);
    let mut ids: Vec<_> = ids.cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Follows the rows of some peers; those without a row are gone.
pub(crate) fn follow_peers(state: &mut State, ids: &[PeerId], rows: &[StoredPeer]) {
    for row in rows {
        state.directory.compare(row);
    }
    let found: HashSet<_> = rows.iter().map(|row| &row.peer_id).collect();
    for id in ids.iter().filter(|id| !found.contains(id)) {
        state.directory.remove_missing(id.as_str());
    }
}

/// Follows the rows behind `after`. Returns the next step.
pub(crate) fn follow_rows(state: &mut State, rows: &PeerRows) -> Resync {
    for row in &rows.peers {
        state.directory.compare(row);
    }
    match rows.next_after {
        Some(after) => Resync::Rows { after },
        None => Resync::Peers { part: 0 },
    }
}

/// Removes some of the peers without a row. Returns the next step, or `None` after the last.
pub(crate) fn remove_unknown(state: &mut State, part: usize) -> Option<Resync> {
    let mut part = part;
    for _ in 0..SLICE_PARTS {
        part = state.directory.end_sweep(part)?;
    }
    Some(Resync::Peers { part })
}
