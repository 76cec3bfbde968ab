//! A row of the peer table.

use super::profile::Profile;
use crate::protocol::PeerId;

/// A row of the peer table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPeer {
    /// The key of the row. The registry assigns it, and never reuses it while the process runs.
    pub row_id: i64,
    /// The peer's name.
    pub peer_id: PeerId,
    /// When the peer first registered, in Unix milliseconds.
    pub registered_at_ms: i64,
    /// When its lease was last renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// What it announced.
    pub profile: Profile,
}
