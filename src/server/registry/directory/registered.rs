//! The registered peers, and the changes that mutations make to them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use serde::Serialize;

use super::digest::profile_digest;
use super::history::History;
use super::index::Index;
use super::membership::Membership;
use super::peer::{DirectoryPeer, capabilities_json, members};
use super::pool::Pool;
use super::sharded::ShardedTable;
use super::turn_servers::TurnServers;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::model::StoredPeer;
use crate::server::policy::lease;
use crate::server::policy::selection::Traits;

/// A peer's place in the order in which leases run out: the time of its last renewal in Unix
/// milliseconds, and its row id.
pub(crate) type LeaseKey = (i64, i64);

/// The id of a new row is one above the highest id below this bound. So a row with a very high id,
/// which only an operator can write, does not use up the ids up to 2^53 that the table allows.
pub(crate) const MAX_OWN_ROW_ID: i64 = 1 << 52;

/// All registered peers.
#[derive(Debug)]
pub(crate) struct Directory {
    /// By id.
    pub(crate) peers: ShardedTable<Arc<DirectoryPeer>>,
    /// In the order in which leases run out.
    pub(crate) active: BTreeMap<LeaseKey, Arc<DirectoryPeer>>,
    /// Registered peers whose lease has run out. The next cleanup removes them unless they renew
    /// first.
    pub(crate) expired: BTreeMap<LeaseKey, Arc<DirectoryPeer>>,
    pub(crate) index: Index,
    pub(crate) turn_servers: TurnServers,
    /// The JSON of capabilities. Most peers announce the same ones.
    pub(crate) capabilities: Pool<str>,
    /// Memory of the peers without what they share, in bytes.
    pub(crate) peer_bytes: usize,
    pub(crate) membership: Membership,
    pub(crate) last_row_id: i64,
    /// The number of the last comparison with the table.
    pub(crate) sweep: u32,
    pub(crate) hasher: RandomState,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            peers: ShardedTable::default(),
            active: BTreeMap::new(),
            expired: BTreeMap::new(),
            index: Index::default(),
            turn_servers: TurnServers::default(),
            capabilities: Pool::default(),
            peer_bytes: 0,
            membership: Membership::random(),
            last_row_id: 0,
            sweep: 0,
            hasher: RandomState::new(),
        }
    }

    /// Registered peers, active or not.
    pub(crate) fn registered(&self) -> usize {
        self.peers.len()
    }

    /// Active peers.
    pub(crate) fn active(&self) -> usize {
        self.index.len()
    }

    /// Active peers that offer to relay.
    pub(crate) fn turn_servers(&self) -> usize {
        self.turn_servers.len()
    }

    /// The peer, active or not.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<DirectoryPeer>> {
        let hash = self.hasher.hash_one(id);
        self.peers.get(hash, |peer| peer.id() == id)
    }

    /// Whether a peer is registered, active or not, and offers to relay.
    pub(crate) fn is_turn_server(&self, id: &PeerId) -> bool {
        self.get(id.as_str())
            .is_some_and(|peer| peer.turn.is_some())
    }

    /// The row of the most recently seen active peer other than this one.
    pub(crate) fn row_of_another(&self, peer_id: Option<&PeerId>) -> Option<i64> {
        let mut peers = self.active.values().rev();
        let other = peers.find(|peer| Some(&peer.peer_id) != peer_id);
        other.map(|peer| peer.row_id)
    }

    /// The row id for the `nth` new peer of a batch, counted from 1.
    pub(crate) fn new_row_id(&self, nth: usize) -> i64 {
        self.last_row_id + nth as i64
    }

    /// The number of registered peers that were moved to the expired ones.
    pub(crate) fn count_expired(&self) -> usize {
        self.expired.len()
    }

    /// Whether some of the peers that have expired at `cutoff_ms` are still among the active ones.
    pub(crate) fn lists_expired(&self, cutoff_ms: i64) -> bool {
        let first = self.active.first_key_value();
        first.is_some_and(|((last_seen_ms, _), _)| lease::is_expired(*last_seen_ms, cutoff_ms))
    }

    /// Moves peers that have expired at `cutoff_ms` from the active to the expired ones, in the
    /// order of their leases. It stops after `max_weight` changes of sets of peers.
    pub(crate) fn expire(&mut self, cutoff_ms: i64, max_weight: usize) {
        let mut weight = 0;
        while weight < max_weight
            && let Some(entry) = self.active.first_entry()
            && lease::is_expired(entry.key().0, cutoff_ms)
        {
            let (key, peer) = entry.remove_entry();
            weight += peer.weight();
            self.withdraw(&peer);
            self.expired.insert(key, peer);
        }
    }

    /// Returns the place in the order of leases before which a cleanup at `cutoff_ms` removes peers,
    /// and their number: at most `max` peers of a total weight of about `max_weight`. Peers that
    /// [`expire`](Self::expire) has not moved yet are left to a later cleanup.
    pub(crate) fn cleanup_before(
        &self,
        cutoff_ms: i64,
        max: usize,
        max_weight: usize,
        weight_of: impl Fn(&DirectoryPeer) -> usize,
    ) -> (LeaseKey, usize) {
        let mut end = (cutoff_ms, i64::MIN);
        if let Some((first, _)) = self.active.first_key_value() {
            end = end.min(*first);
        }
        let (mut count, mut weight) = (0, 0);
        for (key, peer) in self.expired.range(..end) {
            if count >= max || weight >= max_weight {
                return (*key, count);
            }
            count += 1;
            weight += weight_of(peer);
        }
        (end, count)
    }

    /// The expired peers before a place in the order of leases.
    pub(crate) fn expired_before(
        &self,
        before: LeaseKey,
    ) -> impl Iterator<Item = &Arc<DirectoryPeer>> {
        self.expired.range(..before).map(|(_, peer)| peer)
    }

    /// Forgets the peers that a cleanup has removed: all expired ones before a place in the order
    /// of leases, except for the rows `spared`, which must be sorted.
    pub(crate) fn remove_expired(&mut self, before: LeaseKey, spared: &[i64]) {
        let mut kept = Vec::new();
        while let Some(entry) = self.expired.first_entry()
            && *entry.key() < before
        {
            let (key, peer) = entry.remove_entry();
            if spared.binary_search(&peer.row_id).is_ok() {
                kept.push((key, peer));
            } else {
                self.forget(&peer);
            }
        }
        self.expired.extend(kept);
    }

    /// Removes the active peers whose leases run out first, until the directory takes at most
    /// `max_bytes`. Returns the rows of the removed peers.
    pub(crate) fn remove_to_fit(&mut self, max_bytes: usize) -> Vec<i64> {
        let mut rows = Vec::new();
        while self.bytes() > max_bytes
            && let Some((_, peer)) = self.active.pop_first()
        {
            self.withdraw(&peer);
            self.forget(&peer);
            rows.push(peer.row_id);
        }
        rows
    }

    /// Adds or replaces the peer of a row that has registered.
    pub(crate) fn put_registered(&mut self, row: &StoredPeer, history: History) {
        let before = self.get(row.peer_id.as_str()).cloned();
        self.replace(before, row, history);
    }

    /// Adds or replaces the peer of a row that another program has changed.
    pub(crate) fn put(&mut self, row: &StoredPeer) {
        let before = self.get(row.peer_id.as_str()).cloned();
        let history = before.as_ref().map(|before| before.history.clone());
        self.replace(before, row, history.unwrap_or_default());
    }

    fn replace(&mut self, before: Option<Arc<DirectoryPeer>>, row: &StoredPeer, history: History) {
        // The new peer is made before the old one is removed, so that values that both share are
        // not freed and made again.
        let peer = self.peer_of_row(row, history);
        if let Some(before) = before {
            self.remove(&before);
        }
        // An operator may have changed the peer id of this row.
        let key = (row.last_seen_ms, row.row_id);
        if let Some(other) = self.active.get(&key).or(self.expired.get(&key)).cloned() {
            self.remove(&other);
        }
        self.insert(peer);
    }

    pub(crate) fn peer_of_row(&mut self, row: &StoredPeer, history: History) -> Arc<DirectoryPeer> {
        if row.row_id < MAX_OWN_ROW_ID {
            self.last_row_id = self.last_row_id.max(row.row_id);
        }
        Arc::new(self.peer_of(row, history))
    }

    /// Replaces the TURN offer of a registered peer.
    pub(crate) fn offer_turn(&mut self, id: &str, offer: &TurnOffer, history: History) {
        let Some(before) = self.get(id).cloned() else {
            return;
        };
        let mut traits = before.traits.traits.clone();
        traits.turn_capable = true;
        let stores: Vec<_> = before.stores.to_vec();
        for store in &stores {
            self.index.add_store_user(*store);
        }
        let peer = DirectoryPeer {
            row_id: before.row_id,
            peer_id: before.peer_id.clone(),
            registered_at_ms: before.registered_at_ms,
            last_seen_ms: AtomicI64::new(before.last_seen_ms()),
            sweep: AtomicU32::new(self.sweep),
            digest: before.digest,
            history,
            head: before.head.clone(),
            traits: self.index.acquire_traits(traits),
            stores: stores.into(),
            capabilities: self.acquire_capabilities(&before.capabilities),
            turn: Some(Box::new(offer.clone())),
        };
        self.remove(&before);
        self.insert(Arc::new(peer));
    }

    /// Removes a peer that has unregistered.
    pub(crate) fn unregister(&mut self, peer_id: &PeerId) {
        if let Some(peer) = self.get(peer_id.as_str()).cloned() {
            self.remove(&peer);
        }
    }

    /// Renews the lease of a peer. If the same batch has replaced `peer`, the new peer has the new
    /// lease already, and nothing changes.
    pub(crate) fn renew(&mut self, peer: &DirectoryPeer, now_ms: i64) {
        let key = (peer.last_seen_ms(), peer.row_id);
        let current = if let Some(current) = self.active.remove(&key) {
            current
        } else if let Some(current) = self.expired.remove(&key) {
            self.announce(&current);
            current
        } else {
            return;
        };
        current.last_seen_ms.store(now_ms, Ordering::Relaxed);
        self.active.insert((now_ms, peer.row_id), current);
    }

    /// Adds a peer to the table of peers, without listing it.
    pub(crate) fn enter(&mut self, peer: &Arc<DirectoryPeer>) {
        self.peer_bytes += peer.bytes();
        let hash = self.hasher.hash_one(peer.id());
        let hasher = &self.hasher;
        self.peers
            .insert(hash, Arc::clone(peer), |it| hasher.hash_one(it.id()));
    }

    pub(crate) fn insert(&mut self, peer: Arc<DirectoryPeer>) {
        self.enter(&peer);
        self.announce(&peer);
        self.active.insert((peer.last_seen_ms(), peer.row_id), peer);
    }

    pub(crate) fn remove(&mut self, peer: &Arc<DirectoryPeer>) {
        let key = (peer.last_seen_ms(), peer.row_id);
        if self.active.remove(&key).is_some() {
            self.withdraw(peer);
        } else {
            self.expired.remove(&key);
        }
        self.forget(peer);
    }

    /// Removes a peer from the table of peers, and frees what only it used. It must be neither
    /// among the active nor among the expired peers.
    pub(crate) fn forget(&mut self, peer: &Arc<DirectoryPeer>) {
        let hash = self.hasher.hash_one(peer.id());
        let hasher = &self.hasher;
        let removed = self.peers.remove(
            hash,
            |it| Arc::ptr_eq(it, peer),
            |it| hasher.hash_one(it.id()),
        );
        if removed.is_some() {
            self.peer_bytes -= peer.bytes();
            self.capabilities.release(&peer.capabilities);
            self.index.release_traits(&peer.traits);
            self.index.release_stores(&peer.stores);
        }
    }

    /// Starts listing a peer.
    pub(crate) fn announce(&mut self, peer: &Arc<DirectoryPeer>) {
        self.index.insert(peer);
        if peer.turn.is_some() {
            self.turn_servers.insert(Arc::clone(peer));
        }
        self.membership.change();
    }

    /// Stops listing a peer.
    pub(crate) fn withdraw(&mut self, peer: &DirectoryPeer) {
        self.index.remove(peer);
        self.turn_servers.remove(peer.id());
        self.membership.change();
    }

    pub(crate) fn peer_of(&mut self, row: &StoredPeer, history: History) -> DirectoryPeer {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Head<'r> {
            peer_id: &'r str,
            addresses: &'r [String],
            #[serde(rename = "cryptoIPv6")]
            crypto_ipv6: &'r Option<String>,
        }
        let profile = &row.profile;
        let traits = Traits {
            version: profile.version.clone(),
            turn_capable: profile.turn_capable,
            bootstrap_capable: profile.bootstrap_capable,
            privacy_mode: profile.privacy_mode,
            network_id: profile.network_id.clone(),
            authenticated: profile.authenticated,
        };
        DirectoryPeer {
            row_id: row.row_id,
            peer_id: row.peer_id.clone(),
            registered_at_ms: row.registered_at_ms,
            last_seen_ms: AtomicI64::new(row.last_seen_ms),
            sweep: AtomicU32::new(self.sweep),
            digest: profile_digest(profile),
            history,
            head: members(&Head {
                peer_id: row.peer_id.as_str(),
                addresses: &profile.addresses,
                crypto_ipv6: &profile.crypto_ipv6,
            }),
            traits: self.index.acquire_traits(traits),
            stores: self.index.acquire_stores(&profile.stores),
            capabilities: self.acquire_capabilities(&capabilities_json(profile)),
            turn: profile.turn.clone().map(Box::new),
        }
    }

    pub(crate) fn acquire_capabilities(&mut self, json: &str) -> Arc<str> {
        self.capabilities.acquire(json, || json.into())
    }
}
