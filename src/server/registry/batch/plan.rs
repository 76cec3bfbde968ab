//! What one transaction does, and what memory is to follow.

use std::sync::Arc;

use crate::server::registry::directory::DirectoryPeer;
use crate::server::registry::relay::RelayUpdate;
use crate::server::storage::{Changes, RelayChanges};

/// What one transaction does, and what memory is to follow.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Changes,
    /// The peers of `changes.renewals`.
    pub renewed: Vec<Arc<DirectoryPeer>>,
    /// What memory does not know of `changes.relay`; `None` if nothing of the kind is written.
    pub relay: Option<RelayUpdate>,
    /// What memory knows of `changes.relay`: it is still to be written if this transaction fails.
    pub unsaved: Option<Box<RelayChanges>>,
}
