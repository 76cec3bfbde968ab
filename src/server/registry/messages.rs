//! What the actor can be asked.

use actix::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::RegistryError;
use super::counters::Counters;
use super::directory::{Bounds, Include, Membership, PeerListing};
use super::relay::{CostStatus, Granted};
use crate::server::policy::allocation::Refusal;
use crate::server::policy::selection::{Extent, PeerFilter};
use crate::server::storage::StorageError;

/// A change that was accepted and is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When the peer's lease was renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// When it runs out unless it is renewed, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// Registered peers after the commit.
    pub total_peers: usize,
    /// Active TURN servers after the commit.
    pub turn_servers: usize,
    /// Peers that the cleanup removed, told to one sender in its batch and zero to the others.
    pub cleaned: usize,
}

/// What a mutation that is on disk, or an allocation that is refused, is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The change.
    pub accepted: Accepted,
    /// What there is to say of relaying, if the mutation is about that.
    pub relay: Option<Box<RelayReply>>,
}

/// What is answered about relaying.
#[derive(Clone, Debug)]
pub struct RelayReply {
    /// What came of it.
    pub outcome: RelayOutcome,
    /// What the month costs.
    pub cost: CostStatus,
}

/// What came of a mutation that is about relaying.
#[derive(Clone, Debug)]
pub enum RelayOutcome {
    /// A session was granted or renewed.
    Granted(Box<Granted>),
    /// It was not.
    Refused(Refusal),
    /// A session ended after so many bytes.
    Released(i64),
    /// So many reports were taken up, and so many not.
    Reported {
        /// Sessions of the TURN server.
        accepted: usize,
        /// Others.
        unknown: usize,
    },
    /// What an operator has said is noted.
    Set,
}

/// Where the answer to a mutation goes, and the permit it holds until then.
///
/// The permit travels with the mutation, not with the client, so that clients that hang up cannot
/// make the queue longer than the permits allow.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) reply: oneshot::Sender<Result<Reply, RegistryError>>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Tells the actor that mutations wait in its inbox.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct TakeMutations;

/// Asks for active peers.
#[derive(Clone, Debug)]
pub struct ListPeers {
    /// Which peers.
    pub filter: PeerFilter,
    /// How much of what matches.
    pub extent: Extent,
    /// Which of the longer members to list.
    pub include: Include,
    /// How much to list at most.
    pub bounds: Bounds,
    /// States of the membership whose listing the asker has already.
    pub known: Vec<Membership>,
}

/// The answer to [`ListPeers`].
#[derive(Debug)]
pub struct Peers {
    /// The state of the membership.
    pub membership: Membership,
    /// The peers; none if the asker knows this state.
    pub listing: Option<PeerListing>,
    /// Registered peers, active or not.
    pub total_registered: usize,
    /// When the directory was asked, in Unix milliseconds.
    pub now_ms: i64,
}

/// How the registry is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Registered peers, active or not.
    pub total_peers: usize,
    /// Active peers.
    pub active_peers: usize,
    /// Active TURN servers.
    pub turn_servers: usize,
    /// Memory that all peers and sessions take, in bytes.
    pub peer_bytes: usize,
    /// Seconds since the actor started.
    pub uptime_secs: u64,
    /// What happened since then.
    pub counters: Counters,
    /// What the month costs and how tight that makes the registry.
    pub cost: CostStatus,
    /// Rows of the database that were set aside, as they cannot be read.
    pub rows_set_aside: u64,
    /// Whether the last attempt to write to the database failed.
    pub is_degraded: bool,
    /// When the actor was asked, in Unix milliseconds.
    pub now_ms: i64,
}

/// Tells the actor what became of a batch.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct BatchFinished {
    pub(super) batch: super::batch::Batch,
    pub(super) result: Result<super::actor::Written, StorageError>,
    /// Whether the database would refuse the same of any other peer.
    pub(super) refuses_everyone: bool,
}

/// Tells the actor to finish what it has, close the database and stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(super) struct Drain;
