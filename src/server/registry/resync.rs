//! Makes the directory equal to a table that an operator has changed, or that was unavailable,
//! while the registry continues to work.
//!
//! The registry does not know which rows were changed. So it compares all rows with the directory,
//! a few at a time, and writes batches in between. Before each batch it reads the rows of the
//! batch's peers, so that the directory is right for every peer that the batch uses. Cleanups wait
//! until all rows have been compared, because a cleanup depends on every peer.

use std::collections::HashSet;

use super::batch::Batch;
use super::mutation::Mutation;
use super::state::State;
use crate::protocol::PeerId;
use crate::server::model::StoredPeer;
use crate::server::storage::PeerRows;

/// Rows compared in one step, which takes a few milliseconds.
pub(crate) const SLICE_ROWS: usize = 250;

/// Parts of the directory that one step searches for peers without a row.
const SLICE_PARTS: usize = 4;

/// The next step of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resync {
    /// Read the rows with a key above this one.
    Rows { after: i64 },
    /// All rows have been read. Remove the peers without a row, beginning with this part.
    Peers { part: usize },
}

/// The comparison under way, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The next step.
    pub step: Option<Resync>,
    /// Since when comparisons have followed one another without a break, in machine milliseconds.
    pub since_ms: Option<i64>,
    /// Whether the table has changed since this comparison began, so that another one must follow.
    pub is_stale: bool,
    /// Whether its next step comes before the next batch. Steps and batches alternate, so that
    /// neither delays the other for long.
    pub is_next: bool,
}

impl Resync {
    /// The first step.
    pub(crate) fn new() -> Self {
        Self::Rows { after: i64::MIN }
    }
}

/// The peers whose rows a batch may change.
pub(crate) fn peers_of(batch: &Batch) -> Vec<PeerId> {
    let ids = batch.mutations.iter().filter_map(Mutation::peer_id);
    let mut ids: Vec<_> = ids.cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Updates some peers from their rows, and removes those without a row.
pub(crate) fn follow_peers(state: &mut State, ids: &[PeerId], rows: &[StoredPeer]) {
    for row in rows {
        state.directory.compare(row);
    }
    // A peer without a row was deleted by the other writer. The batch must not renew it.
    let found: HashSet<_> = rows.iter().map(|row| &row.peer_id).collect();
    for id in ids.iter().filter(|id| !found.contains(id)) {
        state.directory.remove_missing(id.as_str());
    }
}

/// Updates the directory from one slice of rows. Returns the next step.
pub(crate) fn follow_rows(state: &mut State, rows: &PeerRows) -> Resync {
    for row in &rows.peers {
        state.directory.compare(row);
    }
    match rows.next_after {
        Some(after) => Resync::Rows { after },
        // Peers can be missing from the table only once every row has been read.
        None => Resync::Peers { part: 0 },
    }
}

/// Removes the peers without a row from some parts. Returns the next step, or `None` after the
/// last.
pub(crate) fn remove_unknown(state: &mut State, part: usize) -> Option<Resync> {
    let mut part = part;
    for _ in 0..SLICE_PARTS {
        part = state.directory.end_sweep(part)?;
    }
    Some(Resync::Peers { part })
}
