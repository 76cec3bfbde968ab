//! Turns the mutations that wait into the changes of one transaction.
//!
//! The directory equals the table, so what each mutation will meet is known before the
//! transaction begins; the transaction then works in sets and fails if it finds otherwise.

mod planner;

use std::sync::Arc;

use super::RegistryError;
use super::directory::{Directory, DirectoryPeer};
use super::messages::{RelayOutcome, Ticket};
use super::relay::{Drafted, Planned, Relay};
use super::state::State;
use crate::protocol::{
    AllocateTurnRequest, PeerId, ReleaseTurnRequest, ReportTurnUsageRequest, SetModeRequest,
    SetSpendRequest, Tier, TurnOffer,
};
use crate::server::model::Registration;
use crate::server::storage::{Changes, RelayChanges};

use planner::Planner;

/// Why a batch was made when no peer asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// The backup cleanup is due.
    Cleanup,
    /// A cleanup has left some peers to the next one.
    CleanupRest,
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

impl Mutation {
    /// The peer that it is about.
    pub(super) fn peer_id(&self) -> Option<&PeerId> {
        match self {
            Self::Register(registration) => Some(&registration.peer_id),
            Self::Renew(peer_id) | Self::OfferTurn(peer_id, _) | Self::SetTier(peer_id, _) => {
                Some(peer_id)
            }
            Self::Allocate(request) => Some(&request.peer_id),
            Self::Release(request) => Some(&request.peer_id),
            Self::Report(request) => Some(&request.peer_id),
            Self::SetSpend(_) | Self::SetMode(_) => None,
        }
    }
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
    /// Something about relaying, a refusal included.
    Relay(RelayOutcome),
    UnknownPeer,
    UnknownSession,
    RegistryFull,
}

impl Outcome {
    pub(super) fn error(&self) -> Option<RegistryError> {
        match self {
            Self::UnknownPeer => Some(RegistryError::UnknownPeer),
            Self::UnknownSession => Some(RegistryError::UnknownSession),
            Self::RegistryFull => Some(RegistryError::RegistryFull),
            Self::Registered
            | Self::Updated
            | Self::Confirmed
            | Self::Renewed
            | Self::OfferedTurn
            | Self::Relay(_) => None,
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
    /// What of `changes.relay` time has changed, which is still to be written if this is not.
    pub(super) unsaved: Option<Box<RelayChanges>>,
}

/// The circumstances in which a batch is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) now_ms: i64,
    pub(super) cutoff_ms: i64,
    pub(super) max_peers: usize,
    /// Memory that all peers and sessions may take, in bytes.
    pub(super) max_bytes: usize,
    /// Whether the process takes more memory than all that is counted accounts for.
    pub(super) is_swollen: bool,
    /// Whether the directory equals the table everywhere, which a cleanup rests on.
    pub(super) cleans_up: bool,
}

impl Batch {
    /// Works out what the batch does, given that `directory` and `relay` equal the tables and that
    /// the first peers that have run out are known as such. Returns the mutations that are too much
    /// for one batch.
    pub(super) fn plan(
        &mut self,
        directory: &Directory,
        relay: &Relay,
        at: Circumstances,
    ) -> (Drafted, Vec<(Mutation, Ticket)>) {
        let mut planner = Planner::new(directory, relay, at);
        let mut outcomes = Vec::with_capacity(self.mutations.len());
        for (mutation, _) in &self.mutations {
            if planner.is_full() {
                break;
            }
            outcomes.push(planner.decide(mutation));
        }
        let rest = self.mutations.split_off(outcomes.len());
        let is_needed = planner.is_needed();
        // To record that the registry is alive is no reason to clean up.
        let is_cleanup = |chore: &Chore| matches!(chore, Chore::Cleanup | Chore::CleanupRest);
        let cleans_up = is_needed || self.chores.iter().any(is_cleanup);
        let (plan, drafted) = planner.finish(cleans_up && at.cleans_up);
        self.plan = Plan { outcomes, ..plan };
        self.plan.changes.is_alive = is_needed || !self.chores.is_empty();
        (drafted, rest)
    }

    /// Adds what time has changed, if anything of the kind is written.
    pub(super) fn add_passed_time(&mut self, drafted: Drafted, state: &mut State) {
        if !drafted.is_empty() || !self.chores.is_empty() {
            let unsaved = state.relay.take_unsaved(self.plan.changes.now_ms);
            self.plan.unsaved = Some(Box::new(unsaved.clone()));
            let (changes, planned) = drafted.merge(unsaved);
            self.plan.changes.relay = changes;
            self.plan.relay = Some(planned);
        }
        if self.plan.changes.is_alive {
            self.plan.changes.outages = state.unsaved_outages().to_vec();
        }
    }
}
