//! The active peers that share a property, prepared for every filter.
//!
//! A filter scans a small set. A large set is split by network and by protocol version, and a large
//! part is split by network once more, so that each filter finds either one of these sets or one
//! that is small enough to scan. Each set keeps its peers apart by their two flags. The cost of a
//! change depends neither on the number of peers nor on their variety.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::sync::Arc;

use super::interner::TextId;
use super::peer::{DirectoryPeer, FLAGS};
use super::ranked_set::RankedSet;

/// A set is split when it grows beyond this. A peer with a thousand stores may split a thousand
/// sets at once, which takes about 10 ms.
const MAX_SMALL: usize = 64;

/// A set that shrinks to this is joined again. The gap to `MAX_SMALL` keeps a set from splitting
/// and joining at every change.
const MIN_LARGE: usize = 32;

/// Memory of a peer in a ranked set, whose chunks are three quarters full on average, in bytes.
const RANKED_SET_PEER_BYTES: usize = 11;
/// Memory of a set in the tree of its parent, in bytes. The parent is a tree because a hash table
/// of a million parts would block the registry while it doubles.
const PART_BYTES: usize = 40;
/// Memory of a peer in a small set, and of such a set itself, in bytes.
const SMALL_PEER_BYTES: usize = 8;
const SMALL_BYTES: usize = 40;

/// The approximate memory of a peer in a large set, in bytes: its entries in the ranked sets of all
/// peers, of its network, of its version, and of its network within its version.
pub(crate) const LARGE_PEER_BYTES: usize = 4 * RANKED_SET_PEER_BYTES;

/// The minimum memory of a set with this number of peers, in bytes. In a large set, each peer is in
/// one ranked set of the set itself. A peer without network and version is in no part of the set, so the
/// minimum includes no parts.
pub(crate) fn min_bytes_of(peers: usize) -> usize {
    match peers {
        0 | 1 => 0,
        2..=MAX_SMALL => SMALL_BYTES + peers * SMALL_PEER_BYTES,
        _ => peers * RANKED_SET_PEER_BYTES,
    }
}

/// Peers in order of their ids.
#[derive(Debug, Default)]
pub(crate) enum PeerSet {
    #[default]
    Empty,
    One(Arc<DirectoryPeer>),
    Small(Box<Small>),
    Large(Box<Large>),
}

#[derive(Debug)]
pub(crate) struct Small(Vec<Arc<DirectoryPeer>>);

#[derive(Debug, Default)]
pub(crate) struct Large {
    by_flags: [RankedSet; FLAGS],
    by_network: BTreeMap<TextId, PeerSet>,
    by_version: BTreeMap<TextId, PeerSet>,
    bytes: usize,
}

/// The properties by which a set is split once it is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    NetworkAndVersion,
    Network,
    Nothing,
}

/// The traits that a filter requires.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) network: Option<TextId>,
    pub(crate) version: Option<TextId>,
    /// Whether each combination of flags is wanted.
    pub(crate) flags: [bool; FLAGS],
}

impl Wanted {
    fn takes(&self, peer: &DirectoryPeer) -> bool {
        let traits = &peer.traits;
        let is = |wanted: Option<TextId>, has| wanted.is_none() || wanted == has;
        is(self.network, traits.network)
            && is(self.version, traits.version)
            && self.flags[traits.flags()]
    }
}

impl PeerSet {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Small(small) => small.0.len(),
            Self::Large(large) => large.by_flags.iter().map(RankedSet::len).sum(),
        }
    }

    /// Its heap memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Empty | Self::One(_) => 0,
            Self::Small(small) => SMALL_BYTES + small.0.len() * SMALL_PEER_BYTES,
            Self::Large(large) => large.bytes,
        }
    }

    /// Adds a peer. The set must not contain its id.
    pub(crate) fn insert(&mut self, peer: &Arc<DirectoryPeer>, split: Split) {
        match self {
            Self::Empty => *self = Self::One(Arc::clone(peer)),
            Self::One(other) => {
                let mut two = vec![Arc::clone(other), Arc::clone(peer)];
                two.sort_unstable_by(|left, right| left.id().cmp(right.id()));
                *self = Self::Small(Box::new(Small(two)));
            }
            Self::Small(small) if small.0.len() < MAX_SMALL => {
                let index = small.0.partition_point(|other| other.id() < peer.id());
                small.0.insert(index, Arc::clone(peer));
            }
            Self::Small(small) => {
                // The peers arrive in the order of their ids, so each ranked set only appends.
                let mut large = Box::new(Large::new());
                for other in &small.0 {
                    large.insert(other, split);
                }
                large.insert(peer, split);
                *self = Self::Large(large);
            }
            Self::Large(large) => large.insert(peer, split),
        }
    }

    /// Removes a peer, if it is there.
    pub(crate) fn remove(&mut self, peer: &DirectoryPeer, split: Split) {
        match self {
            Self::Empty => {}
            Self::One(other) if other.id() == peer.id() => *self = Self::Empty,
            Self::One(_) => {}
            Self::Small(small) => {
                small.0.retain(|other| other.id() != peer.id());
                if small.0.len() == 1 {
                    *self = small.0.pop().map_or(Self::Empty, Self::One);
                }
            }
            Self::Large(large) => {
                large.remove(peer, split);
                if self.len() <= MIN_LARGE {
                    let mut peers: Vec<_> = self
                        .ranked_sets()
                        .flat_map(RankedSet::iter)
                        .cloned()
                        .collect();
                    peers.sort_unstable_by(|left, right| left.id().cmp(right.id()));
                    *self = Self::Small(Box::new(Small(peers)));
                }
            }
        }
    }

    /// The peers that are wanted.
    pub(crate) fn matching(&self, wanted: &Wanted) -> Matching<'_> {
        let peers = match self {
            Self::Empty => &[],
            Self::One(peer) => std::slice::from_ref(peer),
            Self::Small(small) => &small.0[..],
            Self::Large(large) => return large.matching(wanted),
        };
        let peers = peers.iter().filter(|peer| wanted.takes(peer));
        Matching::Few(RankedSet::from_sorted(peers.cloned().collect()))
    }

    fn ranked_sets(&self) -> impl Iterator<Item = &RankedSet> {
        let by_flags = match self {
            Self::Large(large) => &large.by_flags[..],
            _ => &[],
        };
        by_flags.iter()
    }
}

impl Large {
    fn new() -> Self {
        Self {
            bytes: mem::size_of::<Self>(),
            ..Self::default()
        }
    }

    fn insert(&mut self, peer: &Arc<DirectoryPeer>, split: Split) {
        self.by_flags[peer.traits.flags()].insert(Arc::clone(peer));
        let (mut added, mut replaced) = (RANKED_SET_PEER_BYTES, 0);
        for (parts, key, split) in self.parts_of(peer, split) {
            let part = match parts.entry(key) {
                Entry::Occupied(part) => part.into_mut(),
                Entry::Vacant(place) => {
                    added += PART_BYTES;
                    place.insert(PeerSet::Empty)
                }
            };
            // The part may split or join, so its size before and after are compared.
            replaced += part.bytes();
            part.insert(peer, split);
            added += part.bytes();
        }
        self.bytes = self.bytes + added - replaced;
    }

    fn remove(&mut self, peer: &DirectoryPeer, split: Split) {
        self.by_flags[peer.traits.flags()].remove(peer.id());
        let (mut added, mut replaced) = (0, RANKED_SET_PEER_BYTES);
        for (parts, key, split) in self.parts_of(peer, split) {
            let Entry::Occupied(mut part) = parts.entry(key) else {
                continue;
            };
            replaced += part.get().bytes();
            part.get_mut().remove(peer, split);
            added += part.get().bytes();
            if part.get().len() == 0 {
                part.remove();
                replaced += PART_BYTES;
            }
        }
        self.bytes = self.bytes + added - replaced;
    }

    /// The parts to which a peer of this set belongs, and how each of them is split.
    fn parts_of(
        &mut self,
        peer: &DirectoryPeer,
        split: Split,
    ) -> impl Iterator<Item = (&mut BTreeMap<TextId, PeerSet>, TextId, Split)> {
        let network = peer.traits.network.filter(|_| split != Split::Nothing);
        let version = peer.traits.version;
        let version = version.filter(|_| split == Split::NetworkAndVersion);
        let by_network = network.map(|key| (&mut self.by_network, key, Split::Nothing));
        let by_version = version.map(|key| (&mut self.by_version, key, Split::Network));
        by_network.into_iter().chain(by_version)
    }

    fn matching(&self, wanted: &Wanted) -> Matching<'_> {
        let narrower = match (wanted.version, wanted.network) {
            (Some(version), _) => Some((&self.by_version, version)),
            (None, Some(network)) => Some((&self.by_network, network)),
            (None, None) => None,
        };
        match narrower {
            Some((parts, key)) => parts.get(&key).map_or(Matching::none(), |part| {
                // All peers of the part share the property by which it was chosen. The filter drops
                // that property, because the part is not split by it.
                let version = None;
                let network = wanted.version.and(wanted.network);
                part.matching(&Wanted {
                    network,
                    version,
                    ..*wanted
                })
            }),
            None => {
                let ranked_sets = self.by_flags.iter().zip(wanted.flags);
                let wanted =
                    ranked_sets.filter(|(ranked_set, wanted)| *wanted && ranked_set.len() > 0);
                Matching::Many(wanted.map(|(ranked_set, _)| ranked_set).collect())
            }
        }
    }
}

/// Peers that match a filter, each in one ranked set.
#[derive(Debug)]
pub(crate) enum Matching<'s> {
    Few(RankedSet),
    /// Parts of a large set, each with at least one peer.
    Many(Vec<&'s RankedSet>),
}

impl Matching<'_> {
    pub(crate) fn none() -> Self {
        Self::Many(Vec::new())
    }

    pub(crate) fn ranked_sets(&self) -> Vec<&RankedSet> {
        match self {
            Self::Few(ranked_set) => vec![ranked_set],
            Self::Many(ranked_sets) => ranked_sets.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::interner::Interner;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Held against a plain list, with sets that are split and joined again.
        #[test]
        fn a_set_finds_what_a_plain_list_finds(
            steps in prop::collection::vec((0u32..10, 0usize..400), 0..1500),
        ) {
            let mut texts = Interner::<()>::default();
            let ids: Vec<_> = (0..40).map(|number| texts.acquire(&format!("t{number}"))).collect();
            // Networks and versions of any spread, from one for all to one for each peer.
            let peer = |number: usize| {
                let network = [Some(ids[0]), Some(ids[number % 3]), None][number % 7 % 3];
                let version = [None, Some(ids[5]), Some(ids[number % 40])][number % 5 % 3];
                DirectoryPeer::with_traits(&format!("p{number:04}"), network, version, number % FLAGS)
            };
            let mut set = PeerSet::default();
            let mut model = BTreeMap::new();
            for (step, number) in steps {
                // Phases of growth and of decay.
                if step < 7 {
                    if let Entry::Vacant(place) = model.entry(number) {
                        let peer = place.insert(peer(number));
                        set.insert(peer, Split::NetworkAndVersion);
                    }
                } else if let Some(peer) = model.remove(&number) {
                    set.remove(&peer, Split::NetworkAndVersion);
                }
            }
            prop_assert_eq!(set.len(), model.len());
            let some = |id| [None, Some(id)];
            for network in some(ids[0]).into_iter().chain([Some(ids[1]), Some(ids[30])]) {
                for version in some(ids[5]).into_iter().chain([Some(ids[7])]) {
                    for flags in [[true; FLAGS], std::array::from_fn(|index| index % 2 == 0)] {
                        let wanted = Wanted { network, version, flags };
                        let matching = set.matching(&wanted);
                        let mut found: Vec<_> = matching
                            .ranked_sets()
                            .into_iter()
                            .flat_map(RankedSet::iter)
                            .map(|peer| peer.id().to_owned())
                            .collect();
                        found.sort_unstable();
                        let takes = model.values().filter(|peer| wanted.takes(peer));
                        let expected: Vec<_> = takes.map(|peer| peer.id().to_owned()).collect();
                        prop_assert_eq!(found, expected);
                    }
                }
            }
            for peer in model.values() {
                set.remove(peer, Split::NetworkAndVersion);
            }
            prop_assert_eq!(set.len(), 0);
            prop_assert_eq!(set.bytes(), 0);
        }
    }
}
