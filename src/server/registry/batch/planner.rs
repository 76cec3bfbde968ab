//! Decides what each mutation of a batch comes to, in order of arrival.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::directory::{Directory, DirectoryPeer, LeaseKey, turn_bytes};
use super::super::messages::RelayOutcome;
use super::super::relay::{Allocated, Draft, Drafted, Relay};
use super::{Circumstances, Mutation, Outcome, Plan};
use crate::protocol::{
    AllocateTurnRequest, PeerId, ReleaseTurnRequest, ReportTurnUsageRequest, TurnOffer,
};
use crate::server::model::{Profile, Registration, StoredPeer};
use crate::server::policy::lease;
use crate::server::policy::turn;
use crate::server::storage::Cleanup;

/// The most rows that a cleanup removes. More than that takes the database long enough to be felt
/// by those who wait, so the rest is for the next transaction.
const MAX_CLEANED: usize = 2_000;

/// The most work in a batch, besides that of its mutations as such: changes of sets of peers, and
/// bytes to write. Planned, written and applied in some 10 ms each.
const MAX_WEIGHT: usize = 8_192;

/// What it takes to end a session, in changes of sets of peers.
const SESSION_WEIGHT: usize = 4;

/// What peers that are registered may take beyond the budget, at most, in bytes.
const MAX_RESERVE_BYTES: usize = 32 << 20;

/// Bytes that count as much as a change of a set.
const BYTES_PER_WEIGHT: usize = 512;

/// What a batch writes of one peer.
struct Touch {
    row_id: i64,
    registered_at_ms: i64,
    /// The whole row is written.
    profile: Option<Box<Profile>>,
    /// The TURN offer as it will be.
    turn: Option<TurnOffer>,
    /// The TURN offer is written, alone if the row is not.
    offers: bool,
}

pub(super) struct Planner<'d> {
    directory: &'d Directory,
    at: Circumstances,
    /// Before which place in the order of leases the batch cleans up, and how many peers are there.
    cleanup_before: LeaseKey,
    expired: usize,
    /// The rows of those of them that this batch revives.
    spared: Vec<i64>,
    /// The rows of all peers that had run out and that this batch revives.
    revived: HashSet<i64>,
    /// Peers whose row is not written as a whole.
    renewed: Vec<Arc<DirectoryPeer>>,
    /// Peers that registered or offered to relay.
    touched: HashMap<PeerId, Touch>,
    inserted: usize,
    relay_bytes: usize,
    /// Memory that the batch adds, in bytes.
    added_bytes: usize,
    weight: usize,
    draft: Draft<'d>,
}

impl<'d> Planner<'d> {
    pub(super) fn new(directory: &'d Directory, relay: &'d Relay, at: Circumstances) -> Self {
        let max_cleaned = if at.cleans_up { MAX_CLEANED } else { 0 };
        let draft = Draft::new(relay, at.now_ms);
        // With the sessions that end on it.
        let weight_of = |peer: &DirectoryPeer| {
            peer.weight() + SESSION_WEIGHT * draft.load(peer.peer_id().as_str())
        };
        let (cleanup_before, expired) =
            directory.cleanup_before(at.cutoff_ms, max_cleaned, MAX_WEIGHT, weight_of);
        Self {
            directory,
            at,
            cleanup_before,
            expired,
            spared: Vec::new(),
            revived: HashSet::new(),
            relay_bytes: relay.bytes(),
            renewed: Vec::new(),
            touched: HashMap::new(),
            inserted: 0,
            added_bytes: 0,
            weight: 0,
            draft,
        }
    }

    /// Whether the batch is as much work as one may be.
    pub(super) fn is_full(&self) -> bool {
        self.weight >= MAX_WEIGHT
    }

    pub(super) fn decide(&mut self, mutation: &Mutation) -> Outcome {
        match mutation {
            Mutation::Register(registration) => self.register(registration),
            Mutation::Renew(peer_id) => self.renew(peer_id),
            Mutation::OfferTurn(peer_id, offer) => self.offer_turn(peer_id, offer),
            Mutation::Allocate(request) => self.allocate(request),
            Mutation::Release(request) => self.release(request),
            Mutation::Report(request) => self.report(request),
            Mutation::SetTier(peer_id, tier) => {
                self.draft.set_tier(peer_id, *tier);
                Outcome::Relay(RelayOutcome::Set)
            }
            Mutation::SetSpend(bill) => {
                self.draft.set_spend(bill.current_spend_usd, bill.as_of);
                Outcome::Relay(RelayOutcome::Set)
            }
            Mutation::SetMode(request) => {
                self.draft.set_mode(request.forced);
                Outcome::Relay(RelayOutcome::Set)
            }
        }
    }

    /// Grants relay capacity to a peer that is active, or becomes so by this very batch.
    fn allocate(&mut self, request: &AllocateTurnRequest) -> Outcome {
        let peer_id = &request.peer_id;
        let is_active = |peer: &Arc<DirectoryPeer>| {
            !lease::is_expired(peer.last_seen_ms(), self.at.cutoff_ms)
                || self.revived.contains(&peer.row_id())
        };
        let found = self.directory.get(peer_id.as_str());
        if !found.is_some_and(is_active) && !self.touched.contains_key(peer_id) {
            return Outcome::UnknownPeer;
        }
        let Circumstances {
            cutoff_ms,
            max_bytes,
            ..
        } = self.at;
        let max_bytes = max_bytes.saturating_sub(self.added_bytes);
        match self
            .draft
            .allocate(request, self.directory, cutoff_ms, max_bytes)
        {
            Allocated::Granted(granted) => {
                self.renew(peer_id);
                Outcome::Relay(RelayOutcome::Granted(granted))
            }
            Allocated::Refused(refusal) => Outcome::Relay(RelayOutcome::Refused(refusal)),
            Allocated::UnknownSession => Outcome::UnknownSession,
            Allocated::NoMemory => Outcome::RegistryFull,
        }
    }

    /// Ends a session. Who holds it may have lost its place meanwhile.
    fn release(&mut self, request: &ReleaseTurnRequest) -> Outcome {
        match self.draft.release(request) {
            Some(bytes) => {
                self.renew(&request.peer_id);
                Outcome::Relay(RelayOutcome::Released(bytes))
            }
            None => Outcome::UnknownSession,
        }
    }

    /// Takes up what a TURN server reports, which may have left meanwhile.
    fn report(&mut self, request: &ReportTurnUsageRequest) -> Outcome {
        let mut accepted = 0;
        self.weight += request.sessions.len();
        for usage in &request.sessions {
            accepted += usize::from(self.draft.report(&request.peer_id, usage));
        }
        if accepted > 0 {
            self.renew(&request.peer_id);
        }
        let unknown = request.sessions.len() - accepted;
        Outcome::Relay(RelayOutcome::Reported { accepted, unknown })
    }

    fn renew(&mut self, peer_id: &PeerId) -> Outcome {
        if let Some(peer) = self.find(peer_id) {
            self.renewed.push(Arc::clone(peer));
        } else if !self.touched.contains_key(peer_id) {
            return Outcome::UnknownPeer;
        }
        Outcome::Renewed
    }

    fn offer_turn(&mut self, peer_id: &PeerId, offer: &TurnOffer) -> Outcome {
        let new_bytes = turn_bytes(offer);
        let before = self.directory.get(peer_id.as_str());
        let old_bytes = before.map_or(0, |peer| peer.turn().map_or(0, turn_bytes));
        if before.is_some() && !self.has_memory(new_bytes, old_bytes) {
            return Outcome::RegistryFull;
        }
        self.weight += before.map_or(0, |peer| 2 * peer.weight());
        let Some(touch) = self.touch(peer_id) else {
            return Outcome::UnknownPeer;
        };
        touch.turn = Some(offer.clone());
        touch.offers = true;
        if let Some(profile) = &mut touch.profile {
            profile.turn = Some(offer.clone());
            profile.turn_capable = true;
        }
        Outcome::OfferedTurn
    }

    fn register(&mut self, registration: &Registration) -> Outcome {
        let peer_id = &registration.peer_id;
        let asked = registration.turn_capable;
        let mut profile = Box::new(registration.profile.clone());
        let directory = self.directory;
        let before = directory.get(peer_id.as_str());
        self.weight += profile.stores.len();
        let Some(touch) = self.touch(peer_id) else {
            return self.insert(peer_id, profile, asked);
        };
        turn::settle(&mut profile, asked, touch.turn.as_ref());
        let withdraws = touch.turn.is_some() && profile.turn.is_none();
        let is_known = touch.profile.is_none()
            && !touch.offers
            && before.is_some_and(|peer| {
                peer.digest() == directory.digest(&profile)
                    && peer.turn() == profile.turn.as_ref()
                    && peer.is_turn_capable() == profile.turn_capable
            });
        if is_known {
            return Outcome::Confirmed;
        }
        let new_bytes = self.weigh(peer_id, &profile);
        let old_bytes = before.map_or(0, |peer| directory.bytes_of(peer));
        if !self.has_memory(new_bytes, old_bytes) {
            return Outcome::RegistryFull;
        }
        self.weight += before.map_or(0, |peer| peer.weight());
        let Some(touch) = self.touched.get_mut(peer_id) else {
            return Outcome::UnknownPeer;
        };
        touch.turn = profile.turn.clone();
        touch.profile = Some(profile);
        if withdraws {
            self.weight += SESSION_WEIGHT * self.draft.load(peer_id.as_str());
            self.draft.end_server(peer_id);
        }
        Outcome::Updated
    }

    fn insert(
        &mut self,
        peer_id: &PeerId,
        mut profile: Box<Profile>,
        asked: Option<bool>,
    ) -> Outcome {
        let expired = self
            .directory
            .count_expired()
            .saturating_sub(self.revived.len());
        let staying = self.directory.registered() - expired;
        let new_bytes = self.weigh(peer_id, &profile);
        if staying + self.inserted >= self.at.max_peers || !self.has_memory(new_bytes, 0) {
            return Outcome::RegistryFull;
        }
        self.inserted += 1;
        turn::settle(&mut profile, asked, None);
        let touch = Touch {
            row_id: self.directory.new_row_id(self.inserted),
            registered_at_ms: self.at.now_ms,
            turn: profile.turn.clone(),
            profile: Some(profile),
            offers: false,
        };
        self.touched.insert(peer_id.clone(), touch);
        Outcome::Registered
    }

    /// Adds the work of writing a profile to that of the batch. Returns the memory that its peer
    /// takes, in bytes.
    fn weigh(&mut self, peer_id: &PeerId, profile: &Profile) -> usize {
        let bytes = self.directory.max_bytes_of(peer_id.as_str(), profile);
        self.weight += bytes / BYTES_PER_WEIGHT;
        bytes
    }

    /// Whether there is memory for `new_bytes` in the place of `old_bytes`, which it then takes.
    fn has_memory(&mut self, new_bytes: usize, old_bytes: usize) -> bool {
        let more_bytes = new_bytes.saturating_sub(old_bytes);
        let taken_bytes = self.directory.bytes() + self.relay_bytes + self.added_bytes;
        // What a peer takes is reckoned a little high, which must not keep it from a change.
        let reserve_bytes = match old_bytes {
            0 => 0,
            _ => (self.at.max_bytes / 16).min(MAX_RESERVE_BYTES),
        };
        let is_over = taken_bytes + more_bytes > self.at.max_bytes + reserve_bytes;
        if more_bytes > 0 && (is_over || self.at.is_swollen) {
            return false;
        }
        self.added_bytes += more_bytes;
        true
    }

    /// The registered peer of this name, which from now on no cleanup of this batch removes.
    fn find(&mut self, peer_id: &PeerId) -> Option<&'d Arc<DirectoryPeer>> {
        let peer = self.directory.get(peer_id.as_str())?;
        let row_id = peer.row_id();
        let last_seen_ms = peer.last_seen_ms();
        if lease::is_expired(last_seen_ms, self.at.cutoff_ms) && self.revived.insert(row_id) {
            // It is listed again, store by store.
            self.weight += peer.weight();
            if (last_seen_ms, row_id) < self.cleanup_before {
                self.spared.push(row_id);
            }
        }
        Some(peer)
    }

    /// The entry of a peer that is registered, if only by this batch.
    fn touch(&mut self, peer_id: &PeerId) -> Option<&mut Touch> {
        if !self.touched.contains_key(peer_id) {
            let peer = self.find(peer_id)?;
            let touch = Touch {
                row_id: peer.row_id(),
                registered_at_ms: peer.registered_at_ms(),
                profile: None,
                turn: peer.turn().cloned(),
                offers: false,
            };
            self.touched.insert(peer.peer_id().clone(), touch);
        }
        self.touched.get_mut(peer_id)
    }

    /// Whether any peer or operator asks for something to be written.
    pub(super) fn is_needed(&self) -> bool {
        !self.renewed.is_empty() || !self.touched.is_empty() || !self.draft.is_empty()
    }

    pub(super) fn finish(mut self, cleans_up: bool) -> (Plan, Drafted) {
        self.spared.sort_unstable();
        if cleans_up {
            self.end_expired_servers();
        }
        let mut plan = Plan::default();
        let changes = &mut plan.changes;
        for (peer_id, touch) in self.touched {
            if let Some(profile) = touch.profile {
                changes.registrations.push(StoredPeer {
                    row_id: touch.row_id,
                    peer_id,
                    registered_at_ms: touch.registered_at_ms,
                    last_seen_ms: self.at.now_ms,
                    profile: *profile,
                });
                continue;
            }
            if let (true, Some(offer)) = (touch.offers, touch.turn) {
                changes.turn_offers.push((touch.row_id, offer));
                plan.offered.push(peer_id.clone());
            }
            self.renewed
                .extend(self.directory.get(peer_id.as_str()).cloned());
        }
        changes.registrations.sort_unstable_by_key(|row| row.row_id);
        self.renewed.sort_unstable_by_key(|peer| peer.row_id());
        self.renewed.dedup_by_key(|peer| peer.row_id());
        changes.renewals = self.renewed.iter().map(|peer| peer.row_id()).collect();
        plan.renewed = self.renewed;
        changes.now_ms = self.at.now_ms;
        changes.cleanup = cleans_up.then(|| Cleanup {
            cutoff_ms: self.at.cutoff_ms,
            before: self.cleanup_before,
            expected: self.expired - self.spared.len(),
            spared: self.spared,
        });
        (plan, self.draft.finish())
    }

    /// Ends the sessions of the TURN servers that the cleanup removes.
    fn end_expired_servers(&mut self) {
        for peer in self.directory.expired_before(self.cleanup_before) {
            if peer.turn().is_some() && self.spared.binary_search(&peer.row_id()).is_err() {
                self.draft.end_server(peer.peer_id());
            }
        }
    }
}
