//! Finds the active peers that match a filter, without looking at the others.

use std::sync::Arc;

use super::compact_text::CompactText;
use super::interner::{Interner, TextId};
use super::peer::{DirectoryPeer, FLAGS, SharedTraits, flags_of};
use super::peer_set::{LARGE_PEER_BYTES, Matching, PeerSet, Split, Wanted};
use super::pool::Pool;
use crate::protocol::PeerFilter;
use crate::server::policy::selection::Traits;

/// The approximate memory of one more peer in a store with other peers, in bytes: its entries in
/// the set, and the store's id.
const SHARED_STORE_BYTES: usize = LARGE_PEER_BYTES + size_of::<TextId>();

/// The set of all active peers, the set of each store, and the texts that filters use.
///
/// Heartbeats do not change the index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    everyone: PeerSet,
    stores: Interner<PeerSet>,
    networks: Interner<()>,
    versions: Interner<()>,
    traits: Pool<SharedTraits>,
    /// Memory of the sets of all stores, in bytes.
    store_set_bytes: usize,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.everyone.len()
    }

    /// Memory of the index and of its texts, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.everyone.bytes()
            + self.store_set_bytes
            + self.stores.bytes()
            + self.networks.bytes()
            + self.versions.bytes()
            + self.traits.bytes()
    }

    /// The maximum memory of one more peer for one of its stores, in bytes.
    pub(crate) fn max_bytes_of_store(&self, store: &str) -> usize {
        match self.stores.find(store) {
            Some(_) => SHARED_STORE_BYTES,
            None => Interner::<PeerSet>::max_bytes_of(store) + size_of::<TextId>(),
        }
    }

    /// The memory that becomes free if a peer leaves a store, in bytes.
    pub(crate) fn bytes_of_store(&self, store: TextId) -> usize {
        if self.stores.users(store) > 1 {
            return 0;
        }
        let heap_bytes = self.stores.text(store).map_or(0, CompactText::heap_bytes);
        heap_bytes + Interner::<PeerSet>::PLACE_BYTES
    }

    /// Returns the shared copy of `traits`, and adds a user to it.
    pub(crate) fn acquire_traits(&mut self, traits: Traits) -> Arc<SharedTraits> {
        let Self {
            networks, versions, ..
        } = self;
        self.traits.acquire(&traits, || {
            let acquire = |texts: &mut Interner<()>, text: &Option<String>| {
                text.as_deref().map(|text| texts.acquire(text))
            };
            let network = acquire(networks, &traits.network_id);
            let version = acquire(versions, &traits.version);
            Arc::new(SharedTraits::new(traits.clone(), network, version))
        })
    }

    pub(crate) fn release_traits(&mut self, traits: &SharedTraits) {
        if self.traits.release(&traits.traits) {
            traits
                .network
                .iter()
                .for_each(|id| self.networks.release(*id));
            traits
                .version
                .iter()
                .for_each(|id| self.versions.release(*id));
        }
    }

    /// Returns the ids of some stores, and adds a user to each.
    pub(crate) fn acquire_stores(&mut self, stores: &[String]) -> Box<[TextId]> {
        let stores = stores.iter();
        stores.map(|store| self.stores.acquire(store)).collect()
    }

    pub(crate) fn add_store_user(&mut self, store: TextId) {
        self.stores.add_user(store);
    }

    pub(crate) fn release_stores(&mut self, stores: &[TextId]) {
        for id in stores {
            self.stores.release(*id);
        }
    }

    /// The number of peers that serve a store, active or not.
    pub(crate) fn users_of_store(&self, store: TextId) -> usize {
        self.stores.users(store) as usize
    }

    /// The text of a store with at least one user.
    pub(crate) fn store(&self, id: TextId) -> Option<&CompactText> {
        self.stores.text(id)
    }

    pub(crate) fn insert(&mut self, peer: &Arc<DirectoryPeer>) {
        self.everyone.insert(peer, Split::NetworkAndVersion);
        self.change_stores(&peer.stores, |set| {
            set.insert(peer, Split::NetworkAndVersion);
        });
    }

    pub(crate) fn remove(&mut self, peer: &DirectoryPeer) {
        self.everyone.remove(peer, Split::NetworkAndVersion);
        self.change_stores(&peer.stores, |set| {
            set.remove(peer, Split::NetworkAndVersion);
        });
    }

    fn change_stores(&mut self, stores: &[TextId], change: impl Fn(&mut PeerSet)) {
        for id in stores {
            if let Some(set) = self.stores.value_mut(*id) {
                let before = set.bytes();
                change(set);
                self.store_set_bytes = self.store_set_bytes + set.bytes() - before;
            }
        }
    }

    /// The peers that match. The excluded peer is still among them: the caller leaves it out.
    pub(crate) fn matching(&self, filter: &PeerFilter) -> Matching<'_> {
        let set = match &filter.store {
            None => Some(&self.everyone),
            Some(store) => {
                let id = self.stores.find(store);
                id.and_then(|id| self.stores.value(id))
            }
        };
        match (set, self.wanted(filter)) {
            (Some(set), Some(wanted)) => set.matching(&wanted),
            _ => Matching::none(),
        }
    }

    /// Whether an active peer matches, apart from the exclusion.
    pub(crate) fn matches(&self, filter: &PeerFilter, peer: &DirectoryPeer) -> bool {
        let serves = |store: &String| {
            let id = self.stores.find(store);
            id.is_some_and(|id| peer.stores.contains(&id))
        };
        peer.traits.traits.match_filter(filter) && filter.store.as_ref().is_none_or(serves)
    }

    /// Translates a filter into ids; `None` if no peer has its network or version.
    fn wanted(&self, filter: &PeerFilter) -> Option<Wanted> {
        let find = |texts: &Interner<()>, text: &Option<String>| match text {
            None => Some(None),
            Some(text) => texts.find(text).map(Some),
        };
        let is = |wanted: Option<bool>, has| wanted.is_none_or(|wanted| wanted == has);
        let mut flags = [false; FLAGS];
        for turn_capable in [false, true] {
            for bootstrap_capable in [false, true] {
                for authenticated in [false, true] {
                    flags[flags_of(turn_capable, bootstrap_capable, authenticated)] =
                        is(filter.turn_capable, turn_capable)
                            && is(filter.bootstrap_capable, bootstrap_capable)
                            && is(filter.authenticated, authenticated);
                }
            }
        }
        Some(Wanted {
            network: find(&self.networks, &filter.network_id)?,
            version: find(&self.versions, &filter.version)?,
            flags,
        })
    }
}
