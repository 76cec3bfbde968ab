//! The queries of readers, and their responses.

use super::counters::Counters;
use super::directory::{Bounds, Include, ListedEntry, Membership, PeerListing};
use super::relay::CostStatus;
use crate::protocol::PeerFilter;
use crate::server::policy::selection::Extent;

/// A query for active peers.
#[derive(Clone, Debug)]
pub(crate) struct ListPeers {
    /// The filter that the peers must match.
    pub filter: PeerFilter,
    /// A number that identifies the reader.
    pub reader: u64,
    /// Which part of the matching peers: a sample or a page.
    pub extent: Extent,
    /// Which of the long optional members to list.
    pub include: Include,
    /// The maximum number of peers and bytes to list.
    pub bounds: Bounds,
    /// The membership states for which the reader already has the listing.
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

/// The response to a query for one peer.
#[derive(Debug)]
pub(crate) struct FoundPeer {
    /// The peer; `None` if it is unknown, or its lease has run out.
    pub peer: Option<ListedEntry>,
    /// When the directory was read, in Unix milliseconds.
    pub now_ms: i64,
}

/// The status of the registry.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// Registered peers, active or not.
    pub total_peers: usize,
    /// Active peers.
    pub active_peers: usize,
    /// Active TURN servers.
    pub turn_servers: usize,
    /// Memory of all peers and sessions, in bytes.
    pub peer_bytes: usize,
    /// Seconds since the actor started.
    pub uptime_secs: u64,
    /// The events since the actor started.
    pub counters: Counters,
    /// The cost of the month, and the mode that follows from it.
    pub cost: CostStatus,
    /// Rows of the database that were set aside because they could not be read.
    pub rows_set_aside: u64,
    /// Whether the last attempt to write to the database failed.
    pub is_degraded: bool,
    /// Whether the database refuses the registrations of all peers, e.g. by an operator's trigger.
    pub refuses_registrations: bool,
    /// When the state was read, in Unix milliseconds.
    pub now_ms: i64,
}
