//! The requests that change the registry, and their replies.

use super::error::RegistryError;
use super::pending::{Operation, Pending};
use super::relay::GrantedSession;
use super::reply::{
    Allocation, Committed, Noted, Receipt, Released, Renewed, Reported, ReportedUsage, SettingSaved,
};
use crate::protocol::{
    AllocateTurnRequest, HeartbeatRequest, PeerId, RegisterTurnServerRequest, ReleaseTurnRequest,
    ReportTurnUsageRequest, SetModeRequest, SetSpendRequest, Tier,
};
use crate::server::model::Registration;
use crate::server::policy::allocation::Refusal;

/// A request that waits to be written.
#[derive(Debug)]
pub(crate) enum Mutation {
    Register(Box<Pending<Registration>>),
    Renew(Pending<HeartbeatRequest>),
    OfferTurn(Box<Pending<RegisterTurnServerRequest>>),
    Allocate(Box<Pending<AllocateTurnRequest>>),
    Release(Box<Pending<ReleaseTurnRequest>>),
    Report(Box<Pending<ReportTurnUsageRequest>>),
    Unregister(Pending<UnregisterPeer>),
    SetTier(Box<Pending<SetPeerTier>>),
    SetSpend(Box<Pending<SetSpendRequest>>),
    SetMode(Box<Pending<SetModeRequest>>),
}

/// An operator's request to set the tier of a peer.
#[derive(Clone, Debug)]
pub(crate) struct SetPeerTier {
    pub(crate) peer_id: PeerId,
    pub(crate) tier: Tier,
}

/// A peer's request to be removed at once.
#[derive(Clone, Debug)]
pub(crate) struct UnregisterPeer {
    pub(crate) peer_id: PeerId,
}

/// How a registration compares with the peer's previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    New,
    Updated,
    Unchanged,
}

/// The decision on a registration that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) registered: Registered,
    /// Whether another registration had replaced this one less than a lease ago.
    pub(crate) comes_back: bool,
    pub(crate) noted: Noted,
}

/// The decision on a TURN offer that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Whether another offer had replaced this one less than a lease ago.
    pub(crate) comes_back: bool,
    pub(crate) noted: Noted,
}

impl Mutation {
    /// The peer that the mutation is about.
    pub(crate) fn peer_id(&self) -> Option<&PeerId> {
        match self {
            Self::Register(pending) => Some(&pending.request.peer_id),
            Self::Renew(pending) => Some(&pending.request.peer_id),
            Self::OfferTurn(pending) => Some(&pending.request.peer_id),
            Self::Allocate(pending) => Some(&pending.request.peer_id),
            Self::Release(pending) => Some(&pending.request.peer_id),
            Self::Report(pending) => Some(&pending.request.peer_id),
            Self::Unregister(pending) => Some(&pending.request.peer_id),
            Self::SetTier(pending) => Some(&pending.request.peer_id),
            Self::SetSpend(_) | Self::SetMode(_) => None,
        }
    }

    /// Sends the reply. The decision must be on disk.
    pub(crate) fn reply(self, committed: &mut Committed<'_>) {
        match self {
            Self::Register(pending) => pending.reply(committed),
            Self::Renew(pending) => pending.reply(committed),
            Self::OfferTurn(pending) => pending.reply(committed),
            Self::Allocate(pending) => pending.reply(committed),
            Self::Release(pending) => pending.reply(committed),
            Self::Report(pending) => pending.reply(committed),
            Self::Unregister(pending) => pending.reply(committed),
            Self::SetTier(pending) => pending.reply(committed),
            Self::SetSpend(pending) => pending.reply(committed),
            Self::SetMode(pending) => pending.reply(committed),
        }
    }

    /// Sends an error instead of the decision.
    pub(crate) fn refuse(self, error: RegistryError) {
        match self {
            Self::Register(pending) => pending.refuse(error),
            Self::Renew(pending) => pending.refuse(error),
            Self::OfferTurn(pending) => pending.refuse(error),
            Self::Allocate(pending) => pending.refuse(error),
            Self::Release(pending) => pending.refuse(error),
            Self::Report(pending) => pending.refuse(error),
            Self::Unregister(pending) => pending.refuse(error),
            Self::SetTier(pending) => pending.refuse(error),
            Self::SetSpend(pending) => pending.refuse(error),
            Self::SetMode(pending) => pending.refuse(error),
        }
    }
}

impl Operation for Registration {
    type Decision = Announced;
    type Reply = Renewed;

    fn reply(announced: Announced, committed: &mut Committed<'_>) -> Renewed {
        renewed(announced.noted, committed)
    }
}

impl Operation for HeartbeatRequest {
    type Decision = Noted;
    type Reply = Renewed;

    fn reply(noted: Noted, committed: &mut Committed<'_>) -> Renewed {
        renewed(noted, committed)
    }
}

impl Operation for RegisterTurnServerRequest {
    type Decision = Offered;
    type Reply = Renewed;

    fn reply(offered: Offered, committed: &mut Committed<'_>) -> Renewed {
        renewed(offered.noted, committed)
    }
}

impl Operation for AllocateTurnRequest {
    type Decision = Result<Box<GrantedSession>, Refusal>;
    type Reply = Allocation;

    fn reply(result: Self::Decision, committed: &mut Committed<'_>) -> Allocation {
        Allocation {
            receipt: match result {
                Ok(_) => committed.receipt(),
                Err(_) => committed.receipt_without_count(),
            },
            cost: committed.cost(),
            result,
        }
    }
}

impl Operation for ReleaseTurnRequest {
    /// The traffic that is counted for the session, in bytes.
    type Decision = i64;
    type Reply = Released;

    fn reply(bytes: i64, committed: &mut Committed<'_>) -> Released {
        Released {
            receipt: committed.receipt(),
            bytes,
        }
    }
}

impl Operation for ReportTurnUsageRequest {
    type Decision = ReportedUsage;
    type Reply = Reported;

    fn reply(usage: ReportedUsage, committed: &mut Committed<'_>) -> Reported {
        Reported {
            receipt: committed.receipt(),
            usage,
        }
    }
}

impl Operation for UnregisterPeer {
    type Decision = ();
    type Reply = Receipt;

    fn reply((): (), committed: &mut Committed<'_>) -> Receipt {
        committed.receipt()
    }
}

impl Operation for SetPeerTier {
    type Decision = ();
    type Reply = SettingSaved;

    fn reply((): (), committed: &mut Committed<'_>) -> SettingSaved {
        setting_saved(committed)
    }
}

impl Operation for SetSpendRequest {
    type Decision = ();
    type Reply = SettingSaved;

    fn reply((): (), committed: &mut Committed<'_>) -> SettingSaved {
        setting_saved(committed)
    }
}

impl Operation for SetModeRequest {
    type Decision = ();
    type Reply = SettingSaved;

    fn reply((): (), committed: &mut Committed<'_>) -> SettingSaved {
        setting_saved(committed)
    }
}

fn setting_saved(committed: &mut Committed<'_>) -> SettingSaved {
    SettingSaved {
        receipt: committed.receipt(),
        cost: committed.cost(),
    }
}

fn renewed(noted: Noted, committed: &mut Committed<'_>) -> Renewed {
    Renewed {
        receipt: committed.receipt(),
        noted,
    }
}
