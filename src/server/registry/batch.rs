//! Turns the mutations that wait into the changes of one transaction.
//!
//! The directory equals the table, so what each mutation will meet is known before the
//! transaction begins; the transaction then works in sets and fails if it finds otherwise.

use std::collections::HashMap;
use std::sync::Arc;

use super::RegistryError;
use super::directory::{Directory, DirectoryPeer};
use super::messages::Ticket;
use super::relay::{Allocated, Draft, Drafted, Granted, Planned, Relay};
use crate::protocol::{
    AllocateTurnRequest, PeerId, ReleaseTurnRequest, ReportTurnUsageRequest, SetModeRequest,
    SetSpendRequest, Tier, TurnOffer,
};
use crate::server::model::{Profile, Registration, StoredPeer};
use crate::server::policy::allocation::Refusal;
use crate::server::policy::lease;
use crate::server::policy::turn;
use crate::server::storage::{Changes, Cleanup};

/// Why a batch was made when no peer asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// The backup cleanup is due.
    Cleanup,
    /// It is time to record that the registry is alive.
    MarkAlive,
}

/// Something that waits to be written.
#[derive(Debug)]
pub(super) enum Mutation {
    Register(Box<Registration>),
    Renew(PeerId),
    OfferTurn(PeerId, TurnOffer),
    Allocate(Box<AllocateTurnRequest>),
    Release(Box<ReleaseTurnRequest>),
    Report(Box<ReportTurnUsageRequest>),
    SetTier(PeerId, Tier),
    SetSpend(SetSpendRequest),
    SetMode(SetModeRequest),
}

/// Mutations and chores that share a transaction, and what it does for them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In order of arrival.
    pub(super) mutations: Vec<(Mutation, Ticket)>,
    pub(super) chores: Vec<Chore>,
    pub(super) plan: Plan,
}

/// What a mutation will come to once the transaction is committed.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Registered,
    Updated,
    /// The peer announced again what it had announced before.
    Confirmed,
    Renewed,
    OfferedTurn,
    Granted(Box<Granted>),
    Refused(Refusal),
    /// A session ended after so many bytes.
    Released(i64),
    /// So many sessions were taken up, and so many are not the server's.
    Reported {
        accepted: usize,
        unknown: usize,
    },
    /// What an operator has said is noted.
    Set,
    UnknownPeer,
    UnknownSession,
    NoTurnServer,
    RegistryFull,
}

impl Outcome {
    pub(super) fn error(&self) -> Option<RegistryError> {
        match self {
            Self::UnknownPeer => Some(RegistryError::UnknownPeer),
            Self::UnknownSession => Some(RegistryError::UnknownSession),
            Self::NoTurnServer => Some(RegistryError::NoTurnServer),
            Self::RegistryFull => Some(RegistryError::RegistryFull),
            Self::Registered
            | Self::Updated
            | Self::Confirmed
            | Self::Renewed
            | Self::OfferedTurn
            | Self::Granted(_)
            | Self::Refused(_)
            | Self::Released(_)
            | Self::Reported { .. }
            | Self::Set => None,
        }
    }
}

/// What one transaction does, and what to tell whom afterwards.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: Changes,
    /// One for each mutation.
    pub(super) outcomes: Vec<Outcome>,
    /// The peers of `changes.renewals` and of `changes.turn_offers`.
    pub(super) renewed: Vec<Arc<DirectoryPeer>>,
    pub(super) offered: Vec<PeerId>,
    /// What of `changes.relay` is new to the view, if anything of the kind is written.
    pub(super) relay: Option<Planned>,
}

/// The circumstances in which a batch is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) now_ms: i64,
    pub(super) cutoff_ms: i64,
    pub(super) max_peers: usize,
}

impl Batch {
    /// Works out what the batch does, given that `directory` and `relay` equal the tables.
    pub(super) fn plan(&mut self, directory: &mut Directory, relay: &mut Relay, at: Circumstances) {
        directory.expire(at.cutoff_ms);
        let mut planner = Planner {
            directory,
            at,
            expired: directory.expired(at.cutoff_ms).count(),
            spared: Vec::new(),
            renewed: Vec::new(),
            touched: HashMap::new(),
            inserted: 0,
            draft: Draft::new(relay, at.now_ms),
        };
        let outcomes = self
            .mutations
            .iter()
            .map(|(mutation, _)| planner.decide(mutation))
            .collect();
        let cleans_up = planner.is_needed() || self.chores.contains(&Chore::Cleanup);
        let (plan, drafted) = planner.finish(cleans_up);
        self.plan = Plan { outcomes, ..plan };
        let is_relay_written = !drafted.is_empty() || !self.chores.is_empty();
        if is_relay_written {
            let (changes, planned) = drafted.merge(relay.take_unsaved(at.now_ms));
            self.plan.changes.relay = changes;
            self.plan.relay = Some(planned);
        }
        // To record that the registry is alive is no reason to clean up.
        self.plan.changes.is_alive = cleans_up || !self.chores.is_empty();
    }
}

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

struct Planner<'d> {
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
    fn decide(&mut self, mutation: &Mutation) -> Outcome {
        match mutation {
            Mutation::Register(registration) => self.register(registration),
            Mutation::Renew(peer_id) => self.renew(peer_id),
            Mutation::OfferTurn(peer_id, offer) => self.offer_turn(peer_id, offer),
            Mutation::Allocate(request) => self.allocate(request),
            Mutation::Release(request) => self.release(request),
            Mutation::Report(request) => self.report(request),
            Mutation::SetTier(peer_id, tier) => {
                self.draft.set_tier(peer_id, *tier);
                Outcome::Set
            }
            Mutation::SetSpend(bill) => {
                self.draft.set_spend(bill.current_spend_usd, bill.as_of);
                Outcome::Set
            }
            Mutation::SetMode(request) => {
                self.draft.set_mode(request.forced);
                Outcome::Set
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
                Outcome::Granted(granted)
            }
            Allocated::Refused(refusal) => Outcome::Refused(refusal),
            Allocated::UnknownSession => Outcome::UnknownSession,
            Allocated::NoServer => Outcome::NoTurnServer,
        }
    }

    /// Ends a session. Who holds it may have lost its place meanwhile.
    fn release(&mut self, request: &ReleaseTurnRequest) -> Outcome {
        match self.draft.release(request) {
            Some(bytes) => {
                self.renew(&request.peer_id);
                Outcome::Released(bytes)
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
        Outcome::Reported {
            accepted,
            unknown: request.sessions.len() - accepted,
        }
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
    fn is_needed(&self) -> bool {
        !self.renewed.is_empty() || !self.touched.is_empty() || !self.draft.is_empty()
    }

    fn finish(mut self, cleans_up: bool) -> (Plan, Drafted) {
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
