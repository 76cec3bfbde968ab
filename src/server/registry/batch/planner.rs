//! Decides what each mutation of a batch comes to, in order of arrival.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::directory::{Directory, DirectoryPeer};
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
    /// How many peers have expired, and the rows of those that this batch revives.
    expired: usize,
    spared: Vec<i64>,
    /// Peers whose row is not written as a whole.
    renewed: Vec<Arc<DirectoryPeer>>,
    /// Peers that registered or offered to relay.
    touched: HashMap<PeerId, Touch>,
    inserted: usize,
    draft: Draft<'d>,
}

impl<'d> Planner<'d> {
    /// Begins, once the peers that have run out are known as such in `directory`.
    pub(super) fn new(directory: &'d Directory, relay: &'d Relay, at: Circumstances) -> Self {
        Self {
            directory,
            at,
            expired: directory.expired(at.cutoff_ms).count(),
            spared: Vec::new(),
            renewed: Vec::new(),
            touched: HashMap::new(),
            inserted: 0,
            draft: Draft::new(relay, at.now_ms),
        }
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
                || self.spared.contains(&peer.row_id())
        };
        let found = self.directory.get(peer_id.as_str());
        if !found.is_some_and(is_active) && !self.touched.contains_key(peer_id) {
            return Outcome::UnknownPeer;
        }
        match self.draft.allocate(request, self.directory) {
            Allocated::Granted(granted) => {
                self.renew(peer_id);
                Outcome::Relay(RelayOutcome::Granted(granted))
            }
            Allocated::Refused(refusal) => Outcome::Relay(RelayOutcome::Refused(refusal)),
            Allocated::UnknownSession => Outcome::UnknownSession,
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
        let Some(touch) = self.touch(peer_id) else {
            return self.insert(peer_id, profile, asked);
        };
        turn::settle(&mut profile, asked, touch.turn.as_ref());
        let withdraws = touch.turn.is_some() && profile.turn.is_none();
        let is_known = touch.profile.is_none()
            && !touch.offers
            && directory.get(peer_id.as_str()).is_some_and(|peer| {
                peer.digest() == directory.digest(&profile)
                    && peer.turn() == profile.turn.as_ref()
                    && peer.is_turn_capable() == profile.turn_capable
            });
        if is_known {
            return Outcome::Confirmed;
        }
        touch.turn = profile.turn.clone();
        touch.profile = Some(profile);
        if withdraws {
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
        let staying = self.directory.registered() - self.expired + self.spared.len();
        if staying + self.inserted >= self.at.max_peers {
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

    /// The registered peer of this name, which from now on no cleanup of this batch removes.
    fn find(&mut self, peer_id: &PeerId) -> Option<&'d Arc<DirectoryPeer>> {
        let peer = self.directory.get(peer_id.as_str())?;
        if lease::is_expired(peer.last_seen_ms(), self.at.cutoff_ms)
            && !self.spared.contains(&peer.row_id())
        {
            self.spared.push(peer.row_id());
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
            expected: self.expired - self.spared.len(),
            spared: self.spared,
        });
        (plan, self.draft.finish())
    }

    /// Ends the sessions of the TURN servers that the cleanup removes.
    fn end_expired_servers(&mut self) {
        for peer in self.directory.expired(self.at.cutoff_ms) {
            if peer.turn().is_some() && self.spared.binary_search(&peer.row_id()).is_err() {
                self.draft.end_server(peer.peer_id());
            }
        }
    }
}
