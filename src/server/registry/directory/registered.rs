//! The registered peers: what each mutation changes of them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use serde::Serialize;

use super::index::Index;
use super::membership::Membership;
use super::peer::{DirectoryPeer, capabilities_json, members};
use super::pool::Pool;
use super::sharded::ShardedTable;
use super::turn_servers::TurnServers;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::model::{Profile, StoredPeer};
use crate::server::policy::lease;
use crate::server::policy::selection::Traits;

/// A peer's place in the order in which leases run out: its last renewal and its row.
pub(crate) type LeaseKey = (i64, i64);

/// Rows that operators may have given by hand, and behind which nothing new is put: the table takes
/// no row above 2^53.
pub(crate) const MAX_OWN_ROW_ID: i64 = 1 << 52;

/// All registered peers.
#[derive(Debug)]
pub(crate) struct Directory {
    /// By id.
    pub(crate) peers: ShardedTable<Arc<DirectoryPeer>>,
    /// By last renewal and row, so that the next to expire is the first.
    pub(crate) active: BTreeMap<LeaseKey, Arc<DirectoryPeer>>,
    /// Registered, but run out: gone at the next cleanup, unless it is heard of before.
    pub(crate) expired: BTreeMap<LeaseKey, Arc<DirectoryPeer>>,
    pub(crate) index: Index,
    pub(crate) turn_servers: TurnServers,
    /// Capabilities as peers announce them: few differ.
    pub(crate) capabilities: Pool<str>,
    /// Memory that peers take for themselves, in bytes.
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

    /// The row of the active peer that was heard of last, other than this one.
    pub(crate) fn row_of_another(&self, peer_id: Option<&PeerId>) -> Option<i64> {
        let mut peers = self.active.values().rev();
        let other = peers.find(|peer| Some(&peer.peer_id) != peer_id);
        other.map(|peer| peer.row_id)
    }

    /// The row id for the `nth` new peer of a batch, counted from 1.
    pub(crate) fn new_row_id(&self, nth: usize) -> i64 {
        self.last_row_id + nth as i64
    }

    /// Tells a profile from another one of the same peer, TURN aside.
    ///
    /// Sixty-four keyed bits: two profiles that differ look alike once in 2^64 updates.
    pub(crate) fn digest(&self, profile: &Profile) -> u64 {
        let Profile {
            addresses,
            crypto_ipv6,
            stores,
            version,
            privacy_mode,
            capabilities,
            capability_list,
            bootstrap_capable,
            network_id,
            software_version,
            server_port,
            node_type,
            turn_capable: _,
            turn: _,
        } = profile;
        self.hasher.hash_one((
            (addresses, crypto_ipv6, stores, version, privacy_mode),
            (capabilities, capability_list, bootstrap_capable),
            (network_id, software_version, server_port, node_type),
        ))
    }

    /// How many peers are known to have expired and are still registered.
    pub(crate) fn count_expired(&self) -> usize {
        self.expired.len()
    }

    /// Whether peers that have run out by `cutoff_ms` are still among the active ones.
    pub(crate) fn lists_expired(&self, cutoff_ms: i64) -> bool {
        let first = self.active.first_key_value();
        first.is_some_and(|((last_seen_ms, _), _)| lease::is_expired(*last_seen_ms, cutoff_ms))
    }

    /// Moves peers that have run out by `cutoff_ms` from the active to the expired ones, the first
    /// that ran out first, until the work comes to `max_weight` changes of sets of peers.
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

    /// The place behind the first peers that a cleanup at `cutoff_ms` is to remove, up to `max` or to a
    /// weight, and their number; what [`expire`](Self::expire) has not moved yet is for a later cleanup.
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

    /// Forgets the peers that a cleanup removed: all expired ones before a place in the order of
    /// leases but those in the rows `spared`, which ascend.
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

    /// Removes the active peers whose leases run out first until all take at most `max_bytes`;
    /// returns the rows of those removed.
    pub(crate) fn shed(&mut self, max_bytes: usize) -> Vec<i64> {
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

    /// Adds or replaces the peer of a row.
    pub(crate) fn put(&mut self, row: &StoredPeer) {
        let before = self.get(row.peer_id.as_str()).cloned();
        // The new one first, so that what both have in common is not freed and made again.
        let peer = self.peer_of_row(row);
        if let Some(before) = before {
            self.remove(&before);
        }
        // An operator may have given the row another name.
        let key = (row.last_seen_ms, row.row_id);
        if let Some(other) = self.active.get(&key).or(self.expired.get(&key)).cloned() {
            self.remove(&other);
        }
        self.insert(peer);
    }

    pub(crate) fn peer_of_row(&mut self, row: &StoredPeer) -> Arc<DirectoryPeer> {
        if row.row_id < MAX_OWN_ROW_ID {
            self.last_row_id = self.last_row_id.max(row.row_id);
        }
        Arc::new(self.peer_of(row))
    }

    /// Replaces the TURN offer of a registered peer.
    pub(crate) fn offer_turn(&mut self, id: &str, offer: &TurnOffer) {
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
            head: before.head.clone(),
            traits: self.index.acquire_traits(traits),
            stores: stores.into(),
            capabilities: self.acquire_capabilities(&before.capabilities),
            turn: Some(Box::new(offer.clone())),
        };
        self.remove(&before);
        self.insert(Arc::new(peer));
    }

    /// Renews the lease of a peer. A `peer` that was replaced since it was found has a lease from
    /// that moment already, and is left alone.
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

    /// Makes a peer known by its id.
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

    /// Drops a peer that is neither active nor expired any more, and what it alone used.
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

    /// Begins to list a peer.
    pub(crate) fn announce(&mut self, peer: &Arc<DirectoryPeer>) {
        self.index.insert(peer);
        if peer.turn.is_some() {
            self.turn_servers.insert(Arc::clone(peer));
        }
        self.membership.change();
    }

    /// Ceases to list a peer.
    pub(crate) fn withdraw(&mut self, peer: &DirectoryPeer) {
        self.index.remove(peer);
        self.turn_servers.remove(peer.id());
        self.membership.change();
    }

    pub(crate) fn peer_of(&mut self, row: &StoredPeer) -> DirectoryPeer {
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
        };
        DirectoryPeer {
            row_id: row.row_id,
            peer_id: row.peer_id.clone(),
            registered_at_ms: row.registered_at_ms,
            last_seen_ms: AtomicI64::new(row.last_seen_ms),
            sweep: AtomicU32::new(self.sweep),
            digest: self.digest(profile),
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
