//! Decides on each mutation of a batch, in order of arrival.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::claims::ClaimPlanner;
use super::context::{BatchContext, BatchTables};
use super::pending_row::{PendingRow, RowChange};
use super::plan::Plan;
use crate::protocol::PeerId;
use crate::server::model::{Profile, Registration, StoredPeer};
use crate::server::policy::lease;
use crate::server::policy::turn;
use crate::server::registry::directory::{
    Directory, DirectoryPeer, History, LeaseKey, profile_digest, registration_digest,
};
use crate::server::registry::error::RegistryError;
use crate::server::registry::mutation::{Announced, Registered};
use crate::server::registry::relay::{RelayPlan, RelayPlanner};
use crate::server::registry::reply::Noted;
use crate::server::storage::{Cleanup, OfferedTurn, UnregisteredPeer};

/// The maximum number of rows that a cleanup removes. A larger cleanup would delay waiting requests
/// noticeably, so the next transaction removes the rest.
const MAX_CLEANED: usize = 2_000;

/// The maximum weight of a batch: changes of sets of peers, and bytes to write. To plan, write and
/// apply this much takes about 10 ms each. The fixed cost of each mutation is not included.
const MAX_WEIGHT: usize = 8_192;

/// The weight of ending a session, in changes of sets of peers.
pub(crate) const SESSION_WEIGHT: usize = 4;

/// Changes of registered peers may exceed the memory budget by at most this many bytes.
const MAX_RESERVE_BYTES: usize = 32 << 20;

/// The number of bytes that weighs as much as one change of a set.
const BYTES_PER_WEIGHT: usize = 512;

pub(crate) struct Planner<'d> {
    pub(crate) directory: &'d Directory,
    pub(crate) context: BatchContext,
    /// The cleanup removes the expired peers before this place in the order of leases.
    cleanup_before: LeaseKey,
    /// The number of expired peers before that place.
    expired: usize,
    /// The rows before that place that the cleanup must skip, because this batch renews their leases.
    spared: Vec<i64>,
    /// The rows of all expired peers whose leases this batch renews.
    pub(crate) revived: HashSet<i64>,
    /// Peers of which the batch writes only the lease or the TURN offer.
    renewed: Vec<Arc<DirectoryPeer>>,
    /// Peers that registered or sent a TURN offer.
    pub(crate) rows: HashMap<PeerId, PendingRow>,
    inserted: usize,
    /// Memory of sessions and claims before the batch, in bytes.
    other_bytes: usize,
    /// Memory that the batch adds, in bytes.
    pub(crate) added_bytes: usize,
    pub(crate) weight: usize,
    pub(crate) relay: RelayPlanner<'d>,
    pub(crate) claims: ClaimPlanner<'d>,
    /// Peers that unregister. Their rows are deleted after everything else is written.
    pub(crate) unregistered: BTreeMap<PeerId, i64>,
}

impl<'d> Planner<'d> {
    pub(crate) fn new(tables: &BatchTables<'d>, context: BatchContext) -> Self {
        let BatchTables {
            directory,
            relay,
            claims,
        } = *tables;
        let max_cleaned = if context.cleans_up { MAX_CLEANED } else { 0 };
        let relay_planner = RelayPlanner::new(relay, context.now_ms);
        // Removing a TURN server also ends its sessions, so they count as part of its weight.
        let weight_of = |peer: &DirectoryPeer| {
            peer.weight() + SESSION_WEIGHT * relay_planner.load(peer.peer_id().as_str())
        };
        let (cleanup_before, expired) =
            directory.cleanup_before(context.cutoff_ms, max_cleaned, MAX_WEIGHT, weight_of);
        Self {
            directory,
            context,
            cleanup_before,
            expired,
            spared: Vec::new(),
            revived: HashSet::new(),
            other_bytes: relay.bytes() + claims.bytes(),
            renewed: Vec::new(),
            rows: HashMap::new(),
            inserted: 0,
            added_bytes: 0,
            weight: 0,
            relay: relay_planner,
            claims: ClaimPlanner::new(claims, context.now_ms, context.max_peers),
            unregistered: BTreeMap::new(),
        }
    }

    /// Whether the batch has reached its maximum weight.
    pub(crate) fn is_full(&self) -> bool {
        self.weight >= MAX_WEIGHT
    }

    /// Renews the lease of a peer that is registered or was inserted by this batch.
    pub(crate) fn renew(&mut self, peer_id: &PeerId) -> Result<Noted, RegistryError> {
        let peer = self.find(peer_id);
        if let Some(peer) = peer {
            self.renewed.push(Arc::clone(peer));
        }
        // A peer that is new in this batch is not in the directory. Its whole row is written with a
        // new lease.
        if let Some(row) = self.rows.get(peer_id) {
            return Ok(row.noted(&self.context));
        }
        let peer = peer.ok_or(RegistryError::UnknownPeer)?;
        let BatchContext {
            now_ms, lease_ms, ..
        } = self.context;
        Ok(Noted {
            digest: peer.registration_digest(),
            alternates: peer.history().alternates(now_ms, lease_ms),
        })
    }

    pub(crate) fn register(
        &mut self,
        registration: &Registration,
    ) -> Result<Announced, RegistryError> {
        let peer_id = &registration.peer_id;
        let asked = registration.turn_capable;
        let mut profile = Box::new(registration.profile.clone());
        let (directory, context) = (self.directory, self.context);
        let before = directory.get(peer_id.as_str());
        self.weight += profile.stores.len();
        let Some(row) = self.row(peer_id) else {
            let noted = self.insert(peer_id, profile, asked)?;
            return Ok(Announced {
                registered: Registered::New,
                comes_back: false,
                noted,
            });
        };
        // Whoever proves the key takes the id over. The offer was made by somebody who did not.
        let offered_before = match profile.authenticated && !row.is_authenticated {
            true => None,
            false => row.turn.as_ref(),
        };
        turn::apply_to_offer(&mut profile, asked, offered_before);
        let digest = profile_digest(&profile);
        let withdraws = row.turn.is_some() && profile.turn.is_none();
        // The digest does not cover TURN. A row that this batch has already changed always counts
        // as changed, because the directory shows the peer as it was before the batch.
        let is_unchanged = matches!(row.change, RowChange::Lease)
            && before.is_some_and(|peer| {
                peer.digest() == digest
                    && peer.turn() == profile.turn.as_ref()
                    && peer.is_turn_capable() == profile.turn_capable
            });
        if is_unchanged {
            return Ok(Announced {
                registered: Registered::Unchanged,
                comes_back: false,
                noted: row.noted(&context),
            });
        }
        let new_bytes = self.weigh(peer_id, &profile) + History::BYTES;
        let old_bytes = before.map_or(0, |peer| directory.bytes_of(peer));
        if !self.has_memory(new_bytes, old_bytes) {
            return Err(RegistryError::RegistryFull);
        }
        self.weight += before.map_or(0, |peer| peer.weight());
        let row = self.row(peer_id).ok_or(RegistryError::UnknownPeer)?;
        row.turn = profile.turn.clone();
        let digest = registration_digest(digest, profile.turn_capable, row.turn.as_ref());
        let (now_ms, lease_ms) = (context.now_ms, context.lease_ms);
        let comes_back = row.history.replace(row.digest, digest, now_ms, lease_ms);
        row.digest = digest;
        row.is_authenticated = profile.authenticated;
        row.change = RowChange::Profile(profile);
        let noted = row.noted(&context);
        // A server that no longer relays leaves its sessions without a relay.
        if withdraws {
            self.weight += SESSION_WEIGHT * self.relay.load(peer_id.as_str());
            self.relay.end_server(peer_id);
        }
        Ok(Announced {
            registered: Registered::Updated,
            comes_back,
            noted,
        })
    }

    fn insert(
        &mut self,
        peer_id: &PeerId,
        mut profile: Box<Profile>,
        asked: Option<bool>,
    ) -> Result<Noted, RegistryError> {
        let expired = self
            .directory
            .count_expired()
            .saturating_sub(self.revived.len());
        // The cleanup of this batch or a later one removes the expired peers, so they do not count
        // against the maximum, except for those whose leases the batch renews.
        let staying = self.directory.registered() - expired;
        let new_bytes = self.weigh(peer_id, &profile);
        if staying + self.inserted >= self.context.max_peers || !self.has_memory(new_bytes, 0) {
            return Err(RegistryError::RegistryFull);
        }
        self.inserted += 1;
        turn::apply_to_offer(&mut profile, asked, None);
        let row = PendingRow {
            row_id: self.directory.new_row_id(self.inserted),
            registered_at_ms: self.context.now_ms,
            turn: profile.turn.clone(),
            digest: registration_digest(
                profile_digest(&profile),
                profile.turn_capable,
                profile.turn.as_ref(),
            ),
            history: History::default(),
            is_authenticated: profile.authenticated,
            change: RowChange::Profile(profile),
        };
        let noted = row.noted(&self.context);
        self.rows.insert(peer_id.clone(), row);
        Ok(noted)
    }

    /// Adds the weight of writing a profile to the batch. Returns the memory that its peer takes,
    /// in bytes.
    fn weigh(&mut self, peer_id: &PeerId, profile: &Profile) -> usize {
        let bytes = self.directory.max_bytes_of(peer_id.as_str(), profile);
        self.weight += bytes / BYTES_PER_WEIGHT;
        bytes
    }

    /// Whether there is memory to replace `old_bytes` with `new_bytes`. If there is, reserves it.
    pub(crate) fn has_memory(&mut self, new_bytes: usize, old_bytes: usize) -> bool {
        let more_bytes = new_bytes.saturating_sub(old_bytes);
        let taken_bytes = self.directory.bytes() + self.other_bytes + self.added_bytes;
        // The memory of a peer is estimated a little too high. The reserve keeps the estimate from
        // refusing a change of a registered peer.
        let reserve_bytes = match old_bytes {
            0 => 0,
            _ => (self.context.max_bytes / 16).min(MAX_RESERVE_BYTES),
        };
        let is_over = taken_bytes + more_bytes > self.context.max_bytes + reserve_bytes;
        if more_bytes > 0 && (is_over || self.context.exceeds_memory) {
            return false;
        }
        self.added_bytes += more_bytes;
        true
    }

    /// Finds a registered peer, and keeps the cleanup of this batch from removing it.
    fn find(&mut self, peer_id: &PeerId) -> Option<&'d Arc<DirectoryPeer>> {
        let peer = self.directory.get(peer_id.as_str())?;
        let row_id = peer.row_id();
        let last_seen_ms = peer.last_seen_ms();
        if lease::is_expired(last_seen_ms, self.context.cutoff_ms) && self.revived.insert(row_id) {
            // It is listed again, in the set of each of its stores.
            self.weight += peer.weight();
            // The cleanup runs before the renewals in the transaction, so it must skip this row.
            if (last_seen_ms, row_id) < self.cleanup_before {
                self.spared.push(row_id);
            }
        }
        Some(peer)
    }

    /// The pending row of a peer that is registered or was inserted by this batch.
    pub(crate) fn row(&mut self, peer_id: &PeerId) -> Option<&mut PendingRow> {
        if !self.rows.contains_key(peer_id) {
            let peer = self.find(peer_id)?;
            let row = PendingRow {
                row_id: peer.row_id(),
                registered_at_ms: peer.registered_at_ms(),
                turn: peer.turn().cloned(),
                change: RowChange::Lease,
                digest: peer.registration_digest(),
                history: peer.history().clone(),
                is_authenticated: peer.is_authenticated(),
            };
            self.rows.insert(peer.peer_id().clone(), row);
        }
        self.rows.get_mut(peer_id)
    }

    /// Whether a mutation of the batch needs a write.
    pub(crate) fn is_needed(&self) -> bool {
        !self.renewed.is_empty()
            || !self.rows.is_empty()
            || !self.relay.is_empty()
            || !self.claims.is_empty()
    }

    /// Returns the plan, and the changes to the relay state. A batch that is not written changes nothing.
    pub(crate) fn finish(mut self, cleans_up: bool, is_written: bool) -> (Plan, RelayPlan) {
        self.spared.sort_unstable();
        if cleans_up {
            self.end_expired_servers();
        }
        let mut plan = Plan::default();
        let changes = &mut plan.changes;
        let mut registrations = Vec::new();
        for (peer_id, row) in self.rows {
            match row.change {
                RowChange::Profile(profile) => {
                    let stored = StoredPeer {
                        row_id: row.row_id,
                        peer_id,
                        registered_at_ms: row.registered_at_ms,
                        last_seen_ms: self.context.now_ms,
                        profile: *profile,
                    };
                    registrations.push((stored, row.history));
                    continue;
                }
                RowChange::TurnOffer => {
                    if let Some(offer) = row.turn {
                        changes.turn_offers.push(OfferedTurn {
                            row_id: row.row_id,
                            peer_id: peer_id.clone(),
                            offer,
                        });
                        plan.offer_histories.push(row.history);
                    }
                }
                RowChange::Lease => {}
            }
            self.renewed
                .extend(self.directory.get(peer_id.as_str()).cloned());
        }
        // Rows in the order of their keys are written to neighbouring pages. Renewals hold each row
        // once, since the guard compares their number with the rows that the statement touched.
        registrations.sort_unstable_by_key(|(row, _)| row.row_id);
        (changes.registrations, plan.histories) = registrations.into_iter().unzip();
        self.renewed.sort_unstable_by_key(|peer| peer.row_id());
        self.renewed.dedup_by_key(|peer| peer.row_id());
        changes.renewals = self.renewed.iter().map(|peer| peer.row_id()).collect();
        plan.renewed = self.renewed;
        changes.now_ms = self.context.now_ms;
        changes.cleanup = cleans_up.then(|| Cleanup {
            cutoff_ms: self.context.cutoff_ms,
            before: self.cleanup_before,
            expected: self.expired - self.spared.len(),
            spared: self.spared,
        });
        plan.changes.is_written = is_written;
        if is_written {
            let directory = self.directory;
            let is_registered = |peer_id: &PeerId| directory.get(peer_id.as_str()).is_some();
            let claims = self.claims.finish(is_registered);
            plan.changes.claims = claims.proven;
            plan.changes.forgotten_claims = claims.forgotten;
        }
        let row_of = |(peer_id, row_id)| UnregisteredPeer { row_id, peer_id };
        plan.changes.unregistered = self.unregistered.into_iter().map(row_of).collect();
        (plan, self.relay.finish())
    }

    /// Ends the sessions on the TURN servers that the cleanup removes.
    fn end_expired_servers(&mut self) {
        for peer in self.directory.expired_before(self.cleanup_before) {
            if peer.turn().is_some() && self.spared.binary_search(&peer.row_id()).is_err() {
                self.relay.end_server(peer.peer_id());
            }
        }
    }
}
