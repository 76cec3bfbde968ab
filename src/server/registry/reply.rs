//! The replies to mutations, sent once their batch is on disk.

use std::mem;

use super::relay::{CostStatus, GrantedSession, Relay};
use crate::protocol::ReportTurnUsageRequest;
use crate::server::policy::allocation::Refusal;

/// A change that was accepted and is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// When the peer's lease was renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// When the lease runs out unless it is renewed, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// Registered peers after the commit.
    pub total_peers: usize,
    /// Active TURN servers after the commit.
    pub turn_servers: usize,
    /// Peers that the cleanup removed. Only one reply of the batch has the count; in all others it
    /// is 0, so that the sum over all replies is right.
    pub cleaned: usize,
}

/// What a peer is told about its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The digest of all that is stored for the peer.
    pub digest: u64,
    /// Whether two registrations of the peer have alternated within the last lease.
    pub alternates: bool,
}

/// A registration or a renewal that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// The change.
    pub receipt: Receipt,
    /// The registration after it.
    pub noted: Noted,
}

/// The decision on an allocation. A granted session is on disk.
#[derive(Clone, Debug)]
pub(crate) struct Allocation {
    /// The change. If the allocation was refused, it counts no removed peers, as that response has
    /// no field for them.
    pub receipt: Receipt,
    /// The cost of the month.
    pub cost: CostStatus,
    /// The session, or the limit that prevents one.
    pub result: Result<Box<GrantedSession>, Refusal>,
}

/// A TURN session that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    /// The change.
    pub receipt: Receipt,
    /// The traffic that is counted for the session, in bytes.
    pub bytes: i64,
}

/// A TURN server's report that was added to its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The change.
    pub receipt: Receipt,
    /// How many entries of the report were used.
    pub usage: ReportedUsage,
}

/// How many sessions in a report belong to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportedUsage {
    /// Sessions on the TURN server that sent the report. Their traffic was counted.
    pub accepted: usize,
    /// Other sessions, which were ignored.
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
    /// The cost of the month, and the mode that is now in force.
    pub cost: CostStatus,
}

/// A batch that is on disk, with what its replies need.
#[derive(Debug)]
pub(crate) struct Committed<'s> {
    receipt: Receipt,
    relay: &'s Relay,
    /// Removed peers that no reply has counted yet.
    unreported_removals: usize,
}

impl<'s> Committed<'s> {
    /// `receipt.cleaned` is the number of removed peers that the first suitable reply will count.
    pub(crate) fn new(receipt: Receipt, relay: &'s Relay) -> Self {
        Self {
            unreported_removals: receipt.cleaned,
            receipt: Receipt {
                cleaned: 0,
                ..receipt
            },
            relay,
        }
    }

    /// The receipt for a reply with a count of removed peers. Only the first call returns a count
    /// above 0.
    pub(crate) fn receipt(&mut self) -> Receipt {
        Receipt {
            cleaned: mem::take(&mut self.unreported_removals),
            ..self.receipt
        }
    }

    /// The receipt for a reply that has no field for the count.
    pub(crate) fn receipt_without_count(&self) -> Receipt {
        self.receipt
    }

    /// The cost of the month.
    pub(crate) fn cost(&self) -> CostStatus {
        self.relay.status(self.receipt.last_seen_ms)
    }

    /// Removed peers that no reply has counted.
    pub(crate) fn unreported_removals(&self) -> usize {
        self.unreported_removals
    }
}
