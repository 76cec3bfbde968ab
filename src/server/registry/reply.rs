//! What the sender of a mutation is told once its batch is on disk.

use std::mem;

use super::relay::{CostStatus, GrantedSession, Relay};
use crate::protocol::ReportTurnUsageRequest;
use crate::server::policy::allocation::Refusal;

/// A change that was accepted and is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// When the peer's lease was renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// When it runs out unless it is renewed, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// Registered peers after the commit.
    pub total_peers: usize,
    /// Active TURN servers after the commit.
    pub turn_servers: usize,
    /// Peers that the cleanup removed. One sender in the batch is told, the others read 0.
    pub cleaned: usize,
}

/// The decision on a request for relay capacity. A session is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    /// The change. It counts no removed peers if the allocation is refused.
    pub receipt: Receipt,
    /// What the month costs.
    pub cost: CostStatus,
    /// The session, or the limit that does not allow one.
    pub result: Result<Box<GrantedSession>, Refusal>,
}

/// A TURN session that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    /// The change.
    pub receipt: Receipt,
    /// The traffic that the session counts for, in bytes.
    pub bytes: i64,
}

/// A TURN server's report that was added to its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The change.
    pub receipt: Receipt,
    /// How much of the report was used.
    pub usage: ReportedUsage,
}

/// How many sessions of a report belong to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportedUsage {
    /// Sessions of the TURN server, whose traffic was counted.
    pub accepted: usize,
    /// Others, which were ignored.
    pub unknown: usize,
}

impl ReportedUsage {
    pub(crate) fn of(request: &ReportTurnUsageRequest, accepted: usize) -> Self {
        Self {
            accepted,
            unknown: request.sessions.len() - accepted,
        }
    }
}

/// An operator's setting that is on disk.
#[derive(Clone, Debug)]
pub(crate) struct SettingSaved {
    /// The change.
    pub receipt: Receipt,
    /// What the month costs, and the mode that holds now.
    pub cost: CostStatus,
}

/// A batch that is on disk, from which each sender gets its reply.
#[derive(Debug)]
pub(crate) struct Committed<'s> {
    receipt: Receipt,
    relay: &'s Relay,
    /// Removed peers that no sender was told of yet.
    untold: usize,
}

impl<'s> Committed<'s> {
    /// `receipt` counts the removed peers that the first sender with room for the count is told of.
    pub(crate) fn new(receipt: Receipt, relay: &'s Relay) -> Self {
        Self {
            untold: receipt.cleaned,
            receipt: Receipt {
                cleaned: 0,
                ..receipt
            },
            relay,
        }
    }

    /// The receipt for a sender that is told of the removed peers, unless another one was.
    pub(crate) fn receipt(&mut self) -> Receipt {
        Receipt {
            cleaned: mem::take(&mut self.untold),
            ..self.receipt
        }
    }

    /// The receipt for a sender whose response has no room for the count.
    pub(crate) fn receipt_without_count(&self) -> Receipt {
        self.receipt
    }

    /// What the month costs.
    pub(crate) fn cost(&self) -> CostStatus {
        self.relay.status(self.receipt.last_seen_ms)
    }

    /// Removed peers that no sender was told of.
    pub(crate) fn untold(&self) -> usize {
        self.untold
    }
}
