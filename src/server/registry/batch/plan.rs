//! The plan of one transaction.

use std::sync::Arc;

use crate::server::registry::directory::{DirectoryPeer, History};
use crate::server::registry::relay::RelayUpdate;
use crate::server::storage::{Changes, RelayChanges};

/// What one transaction does, and how the state in memory changes after its commit.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Changes,
    /// The histories of the peers of `changes.registrations`, in the same order.
    pub histories: Vec<History>,
    /// The histories of the peers of `changes.turn_offers`, in the same order.
    pub offer_histories: Vec<History>,
    /// The peers of `changes.renewals`.
    pub renewed: Vec<Arc<DirectoryPeer>>,
    /// The part of `changes.relay` that memory does not have yet; `None` if the batch writes no
    /// relay changes.
    pub relay: Option<RelayUpdate>,
    /// The part of `changes.relay` that memory has already. If this transaction fails, a later one
    /// must write it.
    pub unsaved: Option<Box<RelayChanges>>,
}
