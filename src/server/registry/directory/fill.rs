//! Fills a directory from a whole table.
//!
//! To list a million peers one by one, in the order of their rows, takes ten seconds, because each
//! peer needs several searches for its place in the order of ids. In the order of ids, each peer is
//! appended without a search.

use std::cmp::Ordering;
use std::sync::Arc;

use super::history::History;
use super::peer::DirectoryPeer;
use super::peer_set;
use super::registered::Directory;
use crate::server::model::StoredPeer;

/// Bytes of an id that one comparison covers.
const KEY_BYTES: usize = 16;

/// A directory that is being filled and lists no peer yet.
#[derive(Debug)]
pub(crate) struct Filling {
    directory: Directory,
    max_bytes: usize,
    /// The maximum memory if some peers must be removed, in bytes. Lower than `max_bytes`, because
    /// otherwise no new peer could register until the next start.
    trimmed_bytes: usize,
    /// The minimum memory that the sets of all stores will take, in bytes. An estimate that is too
    /// high would remove peers that fit; `finish` checks the exact size.
    min_store_bytes: usize,
    /// The rows of the peers that did not fit into memory.
    removed_to_fit: Vec<i64>,
}

impl Filling {
    pub(crate) fn new(max_bytes: usize, trimmed_bytes: usize) -> Self {
        Self {
            directory: Directory::new(),
            max_bytes,
            trimmed_bytes,
            min_store_bytes: 0,
            removed_to_fit: Vec::new(),
        }
    }

    /// Adds the peer of a row. If memory is short, it removes the peers whose leases run out first.
    pub(crate) fn add(&mut self, row: &StoredPeer) {
        let directory = &mut self.directory;
        // The table has one row for each peer. Should there be a second one, the start must not
        // fail.
        if directory.get(row.peer_id.as_str()).is_some() {
            return;
        }
        let peer = directory.peer_of_row(row, History::default());
        directory.enter(&peer);
        self.min_store_bytes += min_share_of_stores(directory, &peer);
        let key = (row.last_seen_ms, row.row_id);
        directory.active.insert(key, peer);
        while self.min_bytes() > self.max_bytes
            && let Some((_, peer)) = self.directory.active.pop_first()
        {
            self.min_store_bytes -= min_share_of_stores(&self.directory, &peer);
            self.directory.forget(&peer);
            self.removed_to_fit.push(peer.row_id);
        }
    }

    /// The minimum memory that the peers will take with all sets that list them, in bytes.
    fn min_bytes(&self) -> usize {
        let listed = peer_set::min_bytes_of(self.directory.active.len());
        self.directory.bytes() + self.min_store_bytes + listed
    }

    /// Lists all peers. Returns the directory, and the rows of the peers that did not fit into
    /// memory.
    pub(crate) fn finish(mut self) -> (Directory, Vec<i64>) {
        let peers = in_order(self.directory.active.values());
        for peer in &peers {
            self.directory.announce(peer);
        }
        drop(peers);
        // The lists use memory too, and may exceed the limit only now.
        let fits = self.removed_to_fit.is_empty() && self.directory.bytes() <= self.max_bytes;
        let max_bytes = if fits {
            self.max_bytes
        } else {
            self.trimmed_bytes
        };
        let removed = self.directory.remove_to_fit(max_bytes);
        self.removed_to_fit.extend(removed);
        (self.directory, self.removed_to_fit)
    }
}

/// What one peer adds to the min memory of the sets of its stores, in bytes. The peer already counts
/// as a user of its stores.
fn min_share_of_stores(directory: &Directory, peer: &DirectoryPeer) -> usize {
    let users = peer
        .stores
        .iter()
        .map(|id| directory.index.users_of_store(*id));
    users
        .map(|users| {
            peer_set::min_bytes_of(users) - peer_set::min_bytes_of(users.saturating_sub(1))
        })
        .sum()
}

/// Sorts peers by id. All ids begin with the same bytes, and most differ within a few bytes after
/// them. Those bytes are copied into the sort key, because reading the ids themselves takes a
/// hundred times as long.
fn in_order<'p>(peers: impl Iterator<Item = &'p Arc<DirectoryPeer>>) -> Vec<Arc<DirectoryPeer>> {
    let peers: Vec<_> = peers.cloned().collect();
    let Some(first) = peers.first() else {
        return peers;
    };
    let shared = peers.iter().fold(first.id().len(), |shared, peer| {
        let pairs = first.id().bytes().zip(peer.id().bytes());
        pairs
            .take(shared)
            .take_while(|(left, right)| left == right)
            .count()
    });
    let mut keyed: Vec<_> = peers
        .into_iter()
        .map(|peer| {
            let mut key = [0; KEY_BYTES];
            let rest = peer.id().as_bytes().get(shared..).unwrap_or_default();
            let bytes = rest.len().min(KEY_BYTES);
            key[..bytes].copy_from_slice(&rest[..bytes]);
            (u128::from_be_bytes(key), peer)
        })
        .collect();
    keyed.sort_unstable_by(
        |(left_key, left), (right_key, right)| match left_key.cmp(right_key) {
            Ordering::Equal => left.id().cmp(right.id()),
            order => order,
        },
    );
    keyed.into_iter().map(|(_, peer)| peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_put_in_the_order_of_their_ids() {
        let names = [
            "12D3b",
            "12D3",
            "12D3aaaaaaaaaaaaaaaaaaaaaa",
            "12D3aaaaaaaaaaaaaaaaaaaaab",
            "12D3a",
        ];
        let peers = names.map(DirectoryPeer::named);
        let ordered = in_order(peers.iter());
        let mut expected = names;
        expected.sort_unstable();
        let ids: Vec<_> = ordered.iter().map(|peer| peer.id()).collect();
        assert_eq!(ids, expected);
        assert!(in_order([].iter()).is_empty());
    }
}
