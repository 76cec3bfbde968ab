//! Listings of peers and of TURN servers.

use std::hash::BuildHasher;
use std::sync::Arc;

use itertools::{Either, Itertools};
use rand::Rng;
use rand::seq::{SliceRandom, index};

use super::membership::Membership;
use super::peer::{DirectoryPeer, Include};
use super::ranked_set::{RankedSet, StartAt};
use super::registered::Directory;
use crate::protocol::PeerFilter;
use crate::server::policy::selection::{Extent, PageStart};

/// For this time the first page for the same caller begins at the same peer, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// The limits of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The maximum number of peers.
    pub max_peers: usize,
    /// The maximum bytes of their JSON. One peer is listed even if it is longer.
    pub max_bytes: usize,
    /// The maximum memory of the listed peers, in bytes. One peer is listed even if it takes more.
    pub max_kept_bytes: usize,
}

/// Active peers that match a filter.
#[derive(Debug)]
pub(crate) struct PeerListing {
    /// The sample or page.
    pub peers: Vec<ListedEntry>,
    /// Bytes of their JSON, without the commas between them.
    pub json_bytes: usize,
    /// The memory of its peers, in bytes.
    pub kept_bytes: usize,
    /// The number of peers that match, listed or not.
    pub total: usize,
    /// Where the next page begins, if there is one.
    pub next: Option<PageStart>,
}

/// A peer in a listing that is not yet written.
#[derive(Debug)]
pub(crate) struct ListedEntry {
    peer: Arc<DirectoryPeer>,
    /// When its lease was last renewed, as of the listing, in Unix milliseconds.
    last_seen_ms: i64,
    /// Its stores as JSON, if the listing includes them.
    stores: Option<Box<[u8]>>,
}

impl ListedEntry {
    /// Appends the peer to `out` in JSON, as a [`ListedPeer`](crate::protocol::ListedPeer).
    pub(crate) fn write_json(&self, out: &mut Vec<u8>, include: Include) {
        let stores = self.stores.as_deref();
        self.peer
            .write_json(out, self.last_seen_ms, stores, include);
    }
}

/// Active TURN servers with room.
#[derive(Debug)]
pub(crate) struct TurnListing {
    /// The requested number of servers, the least loaded first, each with its number of live
    /// sessions.
    pub servers: Vec<(u32, Arc<DirectoryPeer>)>,
    /// The number of servers with room, listed or not.
    pub total: usize,
    /// When the directory was read, in Unix milliseconds.
    pub now_ms: i64,
}

impl Directory {
    /// The present state of the membership, as it identifies a listing of this extent.
    pub(crate) fn membership(&self, extent: &Extent, now_ms: i64) -> Membership {
        let draw = match extent {
            Extent::Page(PageStart::Drawn(caller)) => self.draw(*caller, now_ms),
            Extent::Page(PageStart::After { .. }) | Extent::Sample(_) => 0,
        };
        Membership {
            draw,
            ..self.membership
        }
    }

    /// A number that differs for each caller and each hour, and that no client can predict.
    fn draw(&self, caller: u64, now_ms: i64) -> u64 {
        self.hasher.hash_one((caller, now_ms.div_euclid(HOUR_MS)))
    }

    /// Lists active peers; call [`expire`](Directory::expire) first.
    pub(crate) fn list_peers(
        &self,
        filter: &PeerFilter,
        extent: &Extent,
        include: Include,
        bounds: Bounds,
        now_ms: i64,
    ) -> PeerListing {
        let rng = &mut rand::rng();
        let excluded = self.excluded(filter);
        let is_listed = |peer: &&Arc<DirectoryPeer>| {
            excluded.is_none_or(|excluded| !Arc::ptr_eq(peer, excluded))
        };
        let matching = self.index.matching(filter);
        let ranked_sets = matching.ranked_sets();
        let count: usize = ranked_sets.iter().map(|ranked_set| ranked_set.len()).sum();
        let mut listing = PeerListing {
            peers: Vec::new(),
            json_bytes: 0,
            kept_bytes: 0,
            total: count - usize::from(excluded.is_some()),
            next: None,
        };
        match extent {
            Extent::Sample(wanted) => {
                // One more peer than requested, because the excluded peer may be drawn.
                let wanted = (*wanted).min(bounds.max_peers);
                let mut peers = sample(&ranked_sets, count, wanted + 1, rng);
                peers.retain(is_listed);
                // The drawn peers are sorted, so without this the peers with high ids would be cut
                // off.
                peers.shuffle(rng);
                peers.truncate(wanted);
                for peer in peers {
                    if !self.list(&mut listing, peer, include, bounds) {
                        break;
                    }
                }
            }
            Extent::Page(start) => {
                let (from, first) = match start {
                    PageStart::Drawn(caller) => {
                        let drawn = drawn(&ranked_sets, count, self.draw(*caller, now_ms));
                        let first = drawn.map_or("", |peer| peer.id());
                        (StartAt::Id(first), Some(first))
                    }
                    PageStart::After { last, first } => (StartAt::After(last), first.as_deref()),
                };
                for peer in ring(&ranked_sets, from, first).filter(is_listed) {
                    if !self.list(&mut listing, peer, include, bounds) {
                        let last = listing.peers.last().map_or("", |last| last.peer.id());
                        listing.next = Some(PageStart::After {
                            last: last.to_owned(),
                            first: first.map(str::to_owned),
                        });
                        break;
                    }
                }
            }
        }
        listing
    }

    /// The peer that the filter excludes, if it matches otherwise.
    fn excluded(&self, filter: &PeerFilter) -> Option<&Arc<DirectoryPeer>> {
        let peer = self.get(filter.exclude.as_ref()?.as_str())?;
        (self.is_active(peer) && self.index.matches(filter, peer)).then_some(peer)
    }

    /// Adds a peer to a listing. Returns `false` if the listing is full.
    fn list(
        &self,
        listing: &mut PeerListing,
        peer: &Arc<DirectoryPeer>,
        include: Include,
        bounds: Bounds,
    ) -> bool {
        if listing.peers.len() >= bounds.max_peers {
            return false;
        }
        let stores = include.stores.then(|| self.stores_json(peer));
        let last_seen_ms = peer.last_seen_ms();
        let bytes = peer.json_len(last_seen_ms, stores.as_deref(), include);
        let commas = listing.peers.len();
        if listing.json_bytes + bytes + commas > bounds.max_bytes && commas > 0 {
            return false;
        }
        // Also what is not listed, since the listing keeps the whole peer.
        let stores_bytes = stores.as_ref().map_or(0, |stores| stores.len());
        let kept_bytes = peer.bytes() + peer.capabilities.len() + stores_bytes;
        if listing.kept_bytes + kept_bytes > bounds.max_kept_bytes && commas > 0 {
            return false;
        }
        listing.kept_bytes += kept_bytes;
        listing.json_bytes += bytes;
        listing.peers.push(ListedEntry {
            peer: Arc::clone(peer),
            last_seen_ms,
            stores,
        });
        true
    }

    /// Finds an active peer; call [`expire`](Directory::expire) first.
    pub(crate) fn find_active(&self, id: &str, include: Include) -> Option<ListedEntry> {
        let peer = self.get(id).filter(|peer| self.is_active(peer))?;
        Some(ListedEntry {
            last_seen_ms: peer.last_seen_ms(),
            stores: include.stores.then(|| self.stores_json(peer)),
            peer: Arc::clone(peer),
        })
    }

    /// The stores of a peer as a JSON array.
    pub(crate) fn stores_json(&self, peer: &DirectoryPeer) -> Box<[u8]> {
        let mut json = Vec::from(b"[");
        for (index, id) in peer.stores.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            if let Some(store) = self.index.store(*id) {
                store.write_json(&mut json);
            }
        }
        json.push(b']');
        json.into()
    }

    /// Lists active TURN servers, `max` at most; call [`expire`](Directory::expire) first.
    pub(crate) fn list_turn_servers(&self, max: usize, now_ms: i64) -> TurnListing {
        TurnListing {
            servers: self
                .turn_servers_with_room()
                .take(max)
                .map(|(load, server)| (load, Arc::clone(server)))
                .collect(),
            total: self.count_turn_servers_with_room(),
            now_ms,
        }
    }

    /// Whether a peer is active.
    pub(crate) fn is_active(&self, peer: &DirectoryPeer) -> bool {
        self.active
            .contains_key(&(peer.last_seen_ms(), peer.row_id))
    }
}

/// Draws up to `max` of the `count` peers in some ranked sets, each with the same probability. The
/// order of the result is not random.
fn sample<'r>(
    ranked_sets: &[&'r RankedSet],
    count: usize,
    max: usize,
    rng: &mut impl Rng,
) -> Vec<&'r Arc<DirectoryPeer>> {
    let mut ranks = index::sample(rng, count, max.min(count)).into_vec();
    // In ascending order, one pass over the chunks of each ranked set finds all ranks.
    ranks.sort_unstable();
    let mut peers = Vec::with_capacity(ranks.len());
    let mut passed = 0;
    let mut ranks = ranks.as_slice();
    for ranked_set in ranked_sets {
        let here = ranks.partition_point(|rank| *rank < passed + ranked_set.len());
        let (of_this, rest) = ranks.split_at(here);
        peers.extend(ranked_set.at_ranks(of_this.iter().map(|rank| rank - passed)));
        ranks = rest;
        passed += ranked_set.len();
    }
    peers
}

/// The peers in the order of their ids, from a place to the highest id, and then from the lowest id
/// to the one before `first`.
fn ring<'r>(
    ranked_sets: &[&'r RankedSet],
    from: StartAt<'_>,
    first: Option<&str>,
) -> impl Iterator<Item = &'r Arc<DirectoryPeer>> {
    let begins_before = |first: &str| match from {
        StartAt::First => true,
        StartAt::Id(_) => false,
        StartAt::After(last) => last < first,
    };
    // After the highest id the lowest follows, unless an earlier page has already passed it.
    let (end, again) = match first {
        None => (None, None),
        Some(first) if begins_before(first) => (Some(first), None),
        Some(first) => (None, Some(first)),
    };
    let is_before = |end: Option<&str>| {
        let end = end.map(str::to_owned);
        move |peer: &&Arc<DirectoryPeer>| end.as_deref().is_none_or(|end| peer.id() < end)
    };
    let rest =
        again.map(|first| merged(ranked_sets, StartAt::First).take_while(is_before(Some(first))));
    merged(ranked_sets, from)
        .take_while(is_before(end))
        .chain(rest.into_iter().flatten())
}

/// The peers of some ranked sets from a place on, in the order of their ids.
fn merged<'r>(
    ranked_sets: &[&'r RankedSet],
    from: StartAt<'_>,
) -> impl Iterator<Item = &'r Arc<DirectoryPeer>> {
    match ranked_sets {
        [ranked_set] => Either::Left(ranked_set.iter_from(from)),
        _ => {
            let ranked_sets = ranked_sets
                .iter()
                .map(|ranked_set| ranked_set.iter_from(from));
            Either::Right(ranked_sets.kmerge_by(|left, right| left.id() < right.id()))
        }
    }
}

/// Returns the peer at the rank `number / 2^64 * count`, so that a random number gives each peer
/// the same probability. If a few peers join or leave, the rank moves by only a few peers.
fn drawn<'r>(
    ranked_sets: &[&'r RankedSet],
    count: usize,
    number: u64,
) -> Option<&'r Arc<DirectoryPeer>> {
    let mut rank = ((u128::from(number) * count as u128) >> u64::BITS) as usize;
    for ranked_set in ranked_sets {
        if rank < ranked_set.len() {
            return ranked_set.at_ranks([rank]).next();
        }
        rank -= ranked_set.len();
    }
    None
}
