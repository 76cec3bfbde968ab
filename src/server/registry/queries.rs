//! What readers ask, and what they are told.

use super::counters::Counters;
use super::directory::{Bounds, Include, Membership, PeerListing};
use super::relay::CostStatus;
use crate::server::policy::selection::{Extent, PeerFilter};

/// Asks for active peers.
#[derive(Clone, Debug)]
pub(crate) struct ListPeers {
    /// Which peers.
    pub filter: PeerFilter,
    /// How many of those that match.
    pub extent: Extent,
    /// Which of the longer members to list.
    pub include: Include,
    /// The maximum to list.
    pub bounds: Bounds,
    /// States of the membership whose listing the reader has already.
    pub known: Vec<Membership>,
}

/// The response to [`ListPeers`].
#[derive(Debug)]
pub(crate) struct Peers {
    /// The state of the membership.
    pub membership: Membership,
    /// The peers; `None` if the reader knows this state.
    pub listing: Option<PeerListing>,
    /// Registered peers, active or not.
    pub total_registered: usize,
    /// When the directory was read, in Unix milliseconds.
    pub now_ms: i64,
}

/// How the registry is.
#[derive(Clone, Debug)]
pub(crate) struct Status {
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
    /// What the month costs, and the mode that follows from it.
    pub cost: CostStatus,
    /// Rows of the database that were set aside, as they cannot be read.
    pub rows_set_aside: u64,
    /// Whether the last attempt to write to the database failed.
    pub is_degraded: bool,
    /// When the state was read, in Unix milliseconds.
    pub now_ms: i64,
}
