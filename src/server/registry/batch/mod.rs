//! Turns the mutations that wait into the changes of one transaction.
//!
//! The directory equals the table, so what each mutation will meet is known before the
//! transaction begins; the transaction then works in sets and fails if it finds otherwise.

mod planner;

use std::sync::Arc;

use super::RegistryError;
use super::directory::{Directory, DirectoryPeer};
use super::messages::{RelayOutcome, Ticket};
use super::relay::{Planned, Relay};
use crate::protocol::{
    AllocateTurnRequest, PeerId, ReleaseTurnRequest, ReportTurnUsageRequest, SetModeRequest,
    SetSpendRequest, Tier, TurnOffer,
};
use crate::server::model::Registration;
use crate::server::storage::Changes;

use planner::Planner;

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
        let mut planner = Planner::new(directory, relay, at);
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
