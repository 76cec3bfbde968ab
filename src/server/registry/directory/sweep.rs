//! Makes the directory equal to a table that another program has changed, some rows at a time.
//!
//! Every row is read once, in the order of its key, and compared with its peer. Peers for which no
//! row was found are then removed. Writes continue meanwhile: see `registry::resync`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::digest::profile_digest;
use super::peer::DirectoryPeer;
use super::registered::Directory;
use crate::server::model::StoredPeer;

impl Directory {
    /// Begins a sweep. Its end removes each peer for which it has found no row.
    pub(crate) fn begin_sweep(&mut self, max_row_id: i64) {
        self.sweep = self.sweep.wrapping_add(1);
        self.skip_rows(max_row_id);
    }

    /// Gives new peers only row ids above this one.
    pub(crate) fn skip_rows(&mut self, max_row_id: i64) {
        self.last_row_id = self.last_row_id.max(max_row_id);
    }

    /// Compares a row with its peer, and replaces the peer if it differs.
    pub(crate) fn compare(&mut self, row: &StoredPeer) {
        let sweep = self.sweep;
        let known = self.get(row.peer_id.as_str());
        if let Some(peer) = known.filter(|peer| is_row_of(row, peer)) {
            peer.sweep.store(sweep, Ordering::Relaxed);
        } else {
            self.put(row);
        }
    }

    /// Removes a peer that has no row.
    pub(crate) fn remove_missing(&mut self, id: &str) {
        if let Some(peer) = self.get(id).cloned() {
            self.remove(&peer);
        }
    }

    /// Removes the peers in one part of the directory for which the sweep found no row. Returns the
    /// next part, or `None` after the last.
    pub(crate) fn end_sweep(&mut self, part: usize) -> Option<usize> {
        let sweep = self.sweep;
        let is_unknown = |peer: &&Arc<DirectoryPeer>| peer.sweep.load(Ordering::Relaxed) != sweep;
        let peers = self.peers.shard(part)?;
        let unknown: Vec<_> = peers.filter(is_unknown).cloned().collect();
        for peer in unknown {
            self.remove(&peer);
        }
        Some(part + 1)
    }
}

fn is_row_of(row: &StoredPeer, peer: &DirectoryPeer) -> bool {
    peer.row_id == row.row_id
        && peer.last_seen_ms() == row.last_seen_ms
        && peer.registered_at_ms == row.registered_at_ms
        && peer.is_turn_capable() == row.profile.turn_capable
        && peer.turn() == row.profile.turn.as_ref()
        && peer.digest == profile_digest(&row.profile)
}
