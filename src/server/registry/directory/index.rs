//! Finds the active peers that match a filter, without looking at the others.

use std::collections::HashMap;
use std::sync::Arc;

use super::peer::{DirectoryPeer, SharedTraits};
use super::roster::Roster;
use crate::server::policy::selection::{PeerFilter, Traits};

/// The active peers: all of them, by traits, and by store and traits.
///
/// A query adds up a few rosters; only peers with as many different traits as there are peers
/// could make that long. Heartbeats do not come here.
#[derive(Debug, Default)]
pub(super) struct Index {
    everyone: Roster,
    by_traits: HashMap<Arc<SharedTraits>, Roster>,
    by_store: HashMap<Arc<str>, Vec<(Arc<SharedTraits>, Roster)>>,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.everyone.len()
    }

    /// The shared copy of `traits`, if an active peer has the same ones.
    pub(super) fn share_traits(&self, traits: Traits) -> Arc<SharedTraits> {
        let traits = SharedTraits::new(traits);
        match self.by_traits.get_key_value(&traits) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::new(traits),
        }
    }

    /// The shared copy of a store's id, if an active peer serves the same one.
    pub(super) fn share_store(&self, store: &str) -> Arc<str> {
        match self.by_store.get_key_value(store) {
            Some((shared, _)) => Arc::clone(shared),
            None => store.into(),
        }
    }

    pub(super) fn insert(&mut self, peer: &Arc<DirectoryPeer>) {
        self.everyone.insert(Arc::clone(peer));
        self.by_traits
            .entry(Arc::clone(&peer.traits))
            .or_default()
            .insert(Arc::clone(peer));
        for store in &peer.stores {
            let rosters = self.by_store.entry(Arc::clone(store)).or_default();
            let at = rosters
                .iter()
                .position(|(traits, _)| *traits == peer.traits)
                .unwrap_or_else(|| {
                    rosters.reserve_exact(1);
                    rosters.push((Arc::clone(&peer.traits), Roster::default()));
                    rosters.len() - 1
                });
            rosters[at].1.insert(Arc::clone(peer));
        }
    }

    pub(super) fn remove(&mut self, peer: &DirectoryPeer) {
        self.everyone.remove(peer.id());
        if let Some(roster) = self.by_traits.get_mut(&peer.traits) {
            roster.remove(peer.id());
            if roster.len() == 0 {
                self.by_traits.remove(&peer.traits);
            }
        }
        for store in &peer.stores {
            let Some(rosters) = self.by_store.get_mut(store) else {
                continue;
            };
            for (traits, roster) in rosters.iter_mut() {
                if *traits == peer.traits {
                    roster.remove(peer.id());
                }
            }
            rosters.retain(|(_, roster)| roster.len() > 0);
            if rosters.is_empty() {
                self.by_store.remove(store);
            }
        }
    }

    /// The rosters that together hold each matching peer once, and no other but the excluded one.
    pub(super) fn rosters(&self, filter: &PeerFilter) -> Vec<&Roster> {
        if filter.takes_all() {
            return vec![&self.everyone];
        }
        match &filter.store {
            Some(store) => self
                .by_store
                .get(store.as_str())
                .into_iter()
                .flatten()
                .filter(|(shared, _)| filter.matches(&shared.traits))
                .map(|(_, roster)| roster)
                .collect(),
            None => self
                .by_traits
                .iter()
                .filter(|(shared, _)| filter.matches(&shared.traits))
                .map(|(_, roster)| roster)
                .collect(),
        }
    }

    /// Whether `peer` is among the active peers that match, exclusion aside.
    pub(super) fn matches(filter: &PeerFilter, peer: &DirectoryPeer) -> bool {
        let serves = |store: &String| peer.stores.iter().any(|has| **has == **store);
        filter.matches(&peer.traits.traits) && filter.store.as_ref().is_none_or(serves)
    }
}
