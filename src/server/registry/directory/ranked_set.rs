//! A set of peers in the order of their ids, with access by rank.

use std::sync::Arc;

use super::peer::DirectoryPeer;

/// The maximum number of peers in a chunk. An insert moves half of a chunk in memory on average.
const CHUNK_PEERS: usize = 512;

/// The place in the order of ids at which to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartAt<'i> {
    First,
    /// At this id, or at the next one if no peer has it.
    Id(&'i str),
    /// After this id.
    After(&'i str),
}

impl StartAt<'_> {
    /// Whether an id comes before the place.
    fn is_past(self, id: &str) -> bool {
        match self {
            Self::First => false,
            Self::Id(first) => id < first,
            Self::After(last) => id <= last,
        }
    }
}

/// Peers in the order of their ids. They are kept in chunks, so that the cost of adding and
/// removing a peer does not depend on their number.
#[derive(Debug, Default)]
pub(crate) struct RankedSet {
    /// No chunk is empty.
    chunks: Vec<Vec<Arc<DirectoryPeer>>>,
    len: usize,
}

impl RankedSet {
    /// The number of peers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a peer. The ranked set must not contain its id.
    pub(crate) fn insert(&mut self, peer: Arc<DirectoryPeer>) {
        self.len += 1;
        if self.chunks.is_empty() {
            self.chunks = vec![vec![peer]];
            return;
        }
        // Peers that arrive in order are appended, so that they fill each chunk completely.
        if let Some(last) = self.chunks.last_mut()
            && last.last().is_some_and(|last| last.id() < peer.id())
        {
            if last.len() < CHUNK_PEERS {
                last.push(peer);
            } else {
                self.chunks.push(vec![peer]);
            }
            return;
        }
        let index = self.chunk_of(peer.id()).min(self.chunks.len() - 1);
        let mut index = index;
        if self.chunks[index].len() == CHUNK_PEERS {
            // A full chunk is split before the insert, because a vector that grows beyond its
            // capacity doubles it.
            let upper = self.chunks[index].split_off(CHUNK_PEERS / 2);
            let is_upper = upper.first().is_some_and(|first| first.id() <= peer.id());
            self.chunks.insert(index + 1, upper);
            index += usize::from(is_upper);
        }
        let chunk = &mut self.chunks[index];
        let place = chunk.partition_point(|other| other.id() < peer.id());
        chunk.insert(place, peer);
    }

    /// Removes the peer with this id, if it is there.
    pub(crate) fn remove(&mut self, id: &str) {
        let index = self.chunk_of(id);
        let Some(chunk) = self.chunks.get_mut(index) else {
            return;
        };
        let Ok(place) = chunk.binary_search_by(|other| other.id().cmp(id)) else {
            return;
        };
        chunk.remove(place);
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(index);
        } else if let Some(next) = self.chunks.get(index + 1)
            && self.chunks[index].len() + next.len() <= CHUNK_PEERS / 2
        {
            // A merged chunk is at most half full, so that the next inserts do not split it again.
            let next = self.chunks.remove(index + 1);
            self.chunks[index].extend(next);
        }
    }

    /// Makes a ranked set of peers that are sorted by id.
    pub(crate) fn from_sorted(peers: Vec<Arc<DirectoryPeer>>) -> Self {
        let len = peers.len();
        let mut chunks = Vec::new();
        if len > 0 {
            chunks.push(peers);
        }
        Self { chunks, len }
    }

    /// All peers, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DirectoryPeer>> {
        self.chunks.iter().flatten()
    }

    /// The peers from a place on, in order.
    pub(crate) fn iter_from(&self, from: StartAt<'_>) -> impl Iterator<Item = &Arc<DirectoryPeer>> {
        let id = match from {
            StartAt::First => "",
            StartAt::Id(id) | StartAt::After(id) => id,
        };
        let chunk = self.chunk_of(id);
        let place = self.chunks.get(chunk).map_or(0, |chunk| {
            chunk.partition_point(|other| from.is_past(other.id()))
        });
        let first = self.chunks.get(chunk).map_or(&[][..], |it| &it[place..]);
        let rest = self.chunks.get(chunk + 1..).unwrap_or_default();
        first.iter().chain(rest.iter().flatten())
    }

    /// The peers at `ranks`, which must ascend and be below [`len`](Self::len).
    pub(crate) fn at_ranks(
        &self,
        ranks: impl IntoIterator<Item = usize>,
    ) -> impl Iterator<Item = &Arc<DirectoryPeer>> {
        let mut chunks = self.chunks.iter();
        let mut chunk: &[Arc<DirectoryPeer>] = &[];
        let mut passed = 0;
        ranks.into_iter().filter_map(move |rank| {
            // Chunks have different lengths, so the ranks are found by counting through the chunks.
            while rank - passed >= chunk.len() {
                passed += chunk.len();
                chunk = chunks.next()?;
            }
            chunk.get(rank - passed)
        })
    }

    /// The index of the chunk that contains `id` or would contain it; the number of chunks if `id`
    /// is above all ids.
    fn chunk_of(&self, id: &str) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| last.id() < id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Held against a `BTreeSet`, with enough members to split and merge chunks.
        #[test]
        fn a_roster_is_an_ordered_set(
            steps in prop::collection::vec((any::<bool>(), 0u32..3000), 0..6000),
            after in 0u32..3000,
        ) {
            let name = |number: u32| format!("p{number:04}");
            let mut ranked_set = RankedSet::default();
            let mut model = BTreeSet::new();
            for (joins, number) in steps {
                let id = name(number);
                if joins && model.insert(id.clone()) {
                    ranked_set.insert(DirectoryPeer::named(&id));
                } else if !joins {
                    model.remove(&id);
                    ranked_set.remove(&id);
                }
            }
            prop_assert_eq!(ranked_set.len(), model.len());
            let ids: Vec<&str> = ranked_set.iter().map(|peer| peer.id()).collect();
            prop_assert!(ids.iter().copied().eq(model.iter().map(String::as_str)));
            let after = name(after);
            let rest = ranked_set.iter_from(StartAt::After(&after)).map(|peer| peer.id());
            prop_assert!(rest.eq(ids.iter().copied().filter(|id| *id > after.as_str())));
            let rest = ranked_set.iter_from(StartAt::Id(&after)).map(|peer| peer.id());
            prop_assert!(rest.eq(ids.iter().copied().filter(|id| *id >= after.as_str())));
            prop_assert!(ranked_set.iter_from(StartAt::First).map(|peer| peer.id()).eq(ids.iter().copied()));
            let every_third = ranked_set.at_ranks((0..ids.len()).step_by(3)).map(|peer| peer.id());
            prop_assert!(every_third.eq(ids.iter().copied().step_by(3)));
        }
    }
}
