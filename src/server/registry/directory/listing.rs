//! Answers of the directory to those who look for peers.

use std::sync::Arc;

use itertools::Itertools;
use rand::Rng;
use rand::seq::{SliceRandom, index};

use super::Directory;
use super::index::Index;
use super::peer::DirectoryPeer;
use crate::server::policy::selection::{Extent, PeerFilter};

/// Names a state of the membership: it changes when a peer joins, leaves or changes its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Tells this directory's states from those of any other.
    pub directory: u64,
    /// Counts the changes.
    pub revision: u64,
}

impl Membership {
    pub(super) fn random() -> Self {
        Self {
            directory: rand::random(),
            revision: 0,
        }
    }

    pub(super) fn change(&mut self) {
        self.revision += 1;
    }
}

/// Active peers that match a filter.
#[derive(Debug)]
pub struct PeerListing {
    /// The sample or page.
    pub peers: Vec<Arc<DirectoryPeer>>,
    /// How many match, listed or not.
    pub total: usize,
    /// Where the next page begins, if there is one.
    pub next_after: Option<String>,
}

/// Active TURN servers with room.
#[derive(Debug)]
pub struct TurnListing {
    /// As many as were asked for, the least loaded first, with their live sessions.
    pub servers: Vec<(u32, Arc<DirectoryPeer>)>,
    /// How many there are, listed or not.
    pub total: usize,
    /// When the directory was asked, in Unix milliseconds.
    pub now_ms: i64,
}

impl Directory {
    /// The present state of the membership.
    pub(in super::super) fn membership(&self) -> Membership {
        self.membership
    }

    /// Lists active peers, `most` at most; call [`expire`](Directory::expire) first.
    pub(in super::super) fn list_peers(
        &self,
        filter: &PeerFilter,
        extent: &Extent,
        most: usize,
        rng: &mut impl Rng,
    ) -> PeerListing {
        let excluded = filter
            .exclude
            .as_ref()
            .and_then(|id| self.get(id.as_str()))
            .filter(|peer| self.is_active(peer) && Index::matches(filter, peer));
        let is_listed = |peer: &&Arc<DirectoryPeer>| {
            excluded.is_none_or(|excluded| !Arc::ptr_eq(peer, excluded))
        };
        let rosters = self.index.rosters(filter);
        let matching: usize = rosters.iter().map(|roster| roster.len()).sum();
        let total = matching - usize::from(excluded.is_some());
        let mut next_after = None;
        let peers = match extent {
            Extent::Sample(count) => {
                // One more than asked for, in case the excluded peer is drawn.
                let count = (*count).min(most);
                let drawn = (count + 1).min(matching);
                let mut ranks = index::sample(rng, matching, drawn).into_vec();
                ranks.sort_unstable();
                let mut peers = Vec::with_capacity(drawn);
                let mut passed = 0;
                let mut ranks = ranks.as_slice();
                for roster in &rosters {
                    let here = ranks.partition_point(|rank| *rank < passed + roster.len());
                    let (of_this, rest) = ranks.split_at(here);
                    let of_this = of_this.iter().map(|rank| rank - passed);
                    peers.extend(roster.at_ranks(of_this).filter(is_listed).cloned());
                    ranks = rest;
                    passed += roster.len();
                }
                peers.shuffle(rng);
                peers.truncate(count);
                peers
            }
            Extent::Page { after } => {
                let mut peers: Vec<_> = rosters
                    .iter()
                    .map(|roster| roster.iter_after(after.as_deref()))
                    .kmerge_by(|left, right| left.id() < right.id())
                    .filter(is_listed)
                    .take(most + 1)
                    .cloned()
                    .collect();
                if peers.len() > most {
                    peers.truncate(most);
                    next_after = peers.last().map(|last| last.id().to_owned());
                }
                peers
            }
        };
        PeerListing {
            peers,
            total,
            next_after,
        }
    }

    /// Lists active TURN servers, `most` at most; call [`expire`](Directory::expire) first.
    pub(in super::super) fn list_turn_servers(&self, most: usize, now_ms: i64) -> TurnListing {
        TurnListing {
            servers: self
                .turn_servers_with_room()
                .take(most)
                .map(|(load, server)| (load, Arc::clone(server)))
                .collect(),
            total: self.count_turn_servers_with_room(),
            now_ms,
        }
    }

    fn is_active(&self, peer: &DirectoryPeer) -> bool {
        self.active
            .contains_key(&(peer.last_seen_ms(), peer.row_id))
    }
}
