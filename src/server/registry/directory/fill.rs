//! Fills a directory from a whole table.
//!
//! A million peers that are listed one by one, in the order of their rows, take ten seconds: each is
//! searched for its place in the order of ids, several times over. Listed in the order of ids, each
//! goes to the end.

use std::cmp::Ordering;
use std::sync::Arc;

use super::peer::DirectoryPeer;
use super::peer_set::LARGE_PEER_BYTES;
use super::registered::Directory;
use crate::server::model::StoredPeer;

/// Bytes of an id that are compared at once.
const KEY_BYTES: usize = 16;

/// A directory that lists nobody yet.
#[derive(Debug)]
pub(crate) struct Filling {
    directory: Directory,
    max_bytes: usize,
    /// Rows for whose peers there was no memory.
    shed: Vec<i64>,
}

impl Filling {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            directory: Directory::new(),
            max_bytes,
            shed: Vec::new(),
        }
    }

    /// Adds the peer of a row. If there is no memory, the peers whose leases run out first go.
    pub(crate) fn add(&mut self, row: &StoredPeer) {
        let directory = &mut self.directory;
        // A table names each peer once; an older copy of the row would be no reason to fail.
        if directory.get(row.peer_id.as_str()).is_some() {
            return;
        }
        let peer = directory.peer_of_row(row);
        directory.enter(&peer);
        let key = (row.last_seen_ms, row.row_id);
        directory.active.insert(key, peer);
        while directory.bytes() + min_list_bytes(directory) > self.max_bytes
            && let Some((_, peer)) = directory.active.pop_first()
        {
            directory.forget(&peer);
            self.shed.push(peer.row_id);
        }
    }

    /// Lists everybody. Returns the directory, and the rows for whose peers there was no memory.
    pub(crate) fn finish(mut self) -> (Directory, Vec<i64>) {
        let peers = in_order(self.directory.active.values());
        for peer in &peers {
            self.directory.announce(peer);
        }
        drop(peers);
        // The lists take memory, too.
        let shed = self.directory.shed(self.max_bytes);
        self.shed.extend(shed);
        (self.directory, self.shed)
    }
}

/// The min memory that the lists of a directory will take, in bytes: the list of all peers alone, as
/// the list of a store that one peer serves takes none. A peer that had a place must not lose it to a
/// guess that is too high; what all lists take is known at the end.
fn min_list_bytes(directory: &Directory) -> usize {
    directory.active.len() * LARGE_PEER_BYTES
}

/// Peers in order of their ids. Most of them differ within a few bytes behind what all ids begin
/// with, which are kept at hand: to look at the ids themselves takes a hundred times as long.
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
