//! The registry's view of the committed rows, in memory.
//!
//! Equal to the peer table after each commit, and changed by commits alone. What also moves is the
//! line between active and expired: it follows the cutoff, at reads as well as at writes, and each
//! peer crosses it at most once per renewal.

mod index;
mod listing;
mod peer;
mod roster;
mod turn;

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocol::TurnOffer;
use crate::server::model::{Profile, StoredPeer};
use crate::server::policy::lease;
use crate::server::policy::selection::Traits;

use index::Index;
use peer::members;
use turn::TurnServers;

pub use listing::{Membership, PeerListing, TurnListing};
pub use peer::{DirectoryPeer, Include};

/// All registered peers.
#[derive(Debug)]
pub(super) struct Directory {
    peers: HashSet<ById>,
    /// By last renewal and row, so that the next to expire is the first.
    active: BTreeMap<(i64, i64), Arc<DirectoryPeer>>,
    /// Registered, but run out: gone at the next cleanup, unless it is heard of before.
    expired: BTreeMap<(i64, i64), Arc<DirectoryPeer>>,
    index: Index,
    turn_servers: TurnServers,
    /// Capabilities as peers announce them, with how many peers announce each: few differ.
    capabilities: HashMap<Arc<str>, usize>,
    membership: Membership,
    last_row_id: i64,
    digest: RandomState,
}

impl Directory {
    pub(super) fn new() -> Self {
        Self {
            peers: HashSet::new(),
            active: BTreeMap::new(),
            expired: BTreeMap::new(),
            index: Index::default(),
            turn_servers: TurnServers::default(),
            capabilities: HashMap::new(),
            membership: Membership::random(),
            last_row_id: 0,
            digest: RandomState::new(),
        }
    }

    /// Registered peers, active or not.
    pub(super) fn registered(&self) -> usize {
        self.peers.len()
    }

    /// Active peers.
    pub(super) fn active(&self) -> usize {
        self.index.len()
    }

    /// Active peers that offer to relay.
    pub(super) fn turn_servers(&self) -> usize {
        self.turn_servers.len()
    }

    /// The peer, active or not.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<DirectoryPeer>> {
        self.peers.get(id).map(|ById(peer)| peer)
    }

    /// The row id for the `nth` new peer of a batch, counted from 1.
    pub(super) fn new_row_id(&self, nth: usize) -> i64 {
        self.last_row_id + nth as i64
    }

    /// Tells a profile from another one of the same peer, TURN aside.
    ///
    /// Sixty-four keyed bits: two profiles that differ look alike once in 2^64 updates.
    pub(super) fn digest(&self, profile: &Profile) -> u64 {
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
        self.digest.hash_one((
            (addresses, crypto_ipv6, stores, version, privacy_mode),
            (capabilities, capability_list, bootstrap_capable),
            (network_id, software_version, server_port, node_type),
        ))
    }

    /// Moves the peers that have run out by `cutoff_ms` from the active to the expired ones.
    pub(super) fn expire(&mut self, cutoff_ms: i64) {
        while let Some(entry) = self.active.first_entry()
            && lease::is_expired(entry.key().0, cutoff_ms)
        {
            let (key, peer) = entry.remove_entry();
            self.withdraw(&peer);
            self.expired.insert(key, peer);
        }
    }

    /// The peers that a cleanup at `cutoff_ms` would remove; call [`expire`](Self::expire) first.
    pub(super) fn expired(&self, cutoff_ms: i64) -> impl Iterator<Item = &Arc<DirectoryPeer>> {
        let expired = self.expired.range(..(cutoff_ms, i64::MIN));
        expired.map(|(_, peer)| peer)
    }

    /// Forgets the peers that a cleanup at `cutoff_ms` removed: all that had expired but those in
    /// the rows `spared`, which ascend.
    pub(super) fn remove_expired(&mut self, cutoff_ms: i64, spared: &[i64]) {
        let kept = self.expired.split_off(&(cutoff_ms, i64::MIN));
        let removed = std::mem::replace(&mut self.expired, kept);
        for (key, peer) in removed {
            if spared.binary_search(&peer.row_id).is_ok() {
                self.expired.insert(key, peer);
            } else {
                self.peers.remove(peer.id());
                self.release_capabilities(&peer.capabilities);
            }
        }
    }

    /// Takes up a row, new or changed.
    pub(super) fn put(&mut self, row: &StoredPeer) {
        if let Some(before) = self.get(row.peer_id.as_str()).cloned() {
            self.remove(&before);
        }
        let peer = Arc::new(self.peer_of(row));
        self.last_row_id = self.last_row_id.max(row.row_id);
        self.insert(peer);
    }

    /// Takes up a new TURN offer of a registered peer.
    pub(super) fn offer_turn(&mut self, id: &str, offer: &TurnOffer) {
        let Some(before) = self.get(id).cloned() else {
            return;
        };
        self.remove(&before);
        let mut traits = before.traits.traits.clone();
        traits.turn_capable = true;
        let peer = DirectoryPeer {
            row_id: before.row_id,
            peer_id: before.peer_id.clone(),
            registered_at_ms: before.registered_at_ms,
            last_seen_ms: AtomicI64::new(before.last_seen_ms()),
            digest: before.digest,
            head: before.head.clone(),
            traits: self.index.share_traits(traits),
            stores: before.stores.clone(),
            capabilities: self.share_capabilities(&before.capabilities),
            turn: Some(Box::new(offer.clone())),
        };
        self.insert(Arc::new(peer));
    }

    /// Renews the lease of a peer. A `peer` that was replaced since it was found has a lease from
    /// that moment already, and is left alone.
    pub(super) fn renew(&mut self, peer: &DirectoryPeer, now_ms: i64) {
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

    fn insert(&mut self, peer: Arc<DirectoryPeer>) {
        self.peers.insert(ById(Arc::clone(&peer)));
        self.announce(&peer);
        self.active.insert((peer.last_seen_ms(), peer.row_id), peer);
    }

    fn remove(&mut self, peer: &Arc<DirectoryPeer>) {
        let key = (peer.last_seen_ms(), peer.row_id);
        if self.active.remove(&key).is_some() {
            self.withdraw(peer);
        } else {
            self.expired.remove(&key);
        }
        self.peers.remove(peer.id());
        self.release_capabilities(&peer.capabilities);
    }

    /// Begins to list a peer.
    fn announce(&mut self, peer: &Arc<DirectoryPeer>) {
        self.index.insert(peer);
        if peer.turn.is_some() {
            self.turn_servers.insert(Arc::clone(peer));
        }
        self.membership.change();
    }

    /// Ceases to list a peer.
    fn withdraw(&mut self, peer: &DirectoryPeer) {
        self.index.remove(peer);
        self.turn_servers.remove(peer.id());
        self.membership.change();
    }

    fn peer_of(&mut self, row: &StoredPeer) -> DirectoryPeer {
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
            digest: self.digest(profile),
            head: members(&Head {
                peer_id: row.peer_id.as_str(),
                addresses: &profile.addresses,
                crypto_ipv6: &profile.crypto_ipv6,
            }),
            traits: self.index.share_traits(traits),
            stores: profile
                .stores
                .iter()
                .map(|store| self.index.share_store(store))
                .collect(),
            capabilities: self.share_capabilities(&capabilities_json(profile)),
            turn: profile.turn.clone().map(Box::new),
        }
    }

    fn share_capabilities(&mut self, json: &str) -> Arc<str> {
        let shared = match self.capabilities.get_key_value(json) {
            Some((shared, _)) => Arc::clone(shared),
            None => json.into(),
        };
        *self.capabilities.entry(Arc::clone(&shared)).or_default() += 1;
        shared
    }

    fn release_capabilities(&mut self, shared: &Arc<str>) {
        if let Some(users) = self.capabilities.get_mut(shared) {
            *users -= 1;
            if *users == 0 {
                self.capabilities.remove(shared);
            }
        }
    }
}

/// The members `capabilities` and `capabilityList` of a listed peer.
fn capabilities_json(profile: &Profile) -> Box<str> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Capabilities {
        capabilities: Option<Box<RawValue>>,
        capability_list: Option<Box<RawValue>>,
    }
    let raw = |json: &Option<String>| {
        json.clone()
            .and_then(|json| RawValue::from_string(json).ok())
    };
    members(&Capabilities {
        capabilities: raw(&profile.capabilities),
        capability_list: raw(&profile.capability_list),
    })
}

/// A peer, told from others by its id.
#[derive(Debug)]
struct ById(Arc<DirectoryPeer>);

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

impl Hash for ById {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}
