//! Rows as a batch will have changed them.

use crate::protocol::TurnOffer;
use crate::server::model::Profile;

/// The row of a peer as the batch will have changed it.
pub(crate) struct PendingRow {
    pub(crate) row_id: i64,
    pub(crate) registered_at_ms: i64,
    /// The TURN offer as it will be.
    pub(crate) turn: Option<TurnOffer>,
    pub(crate) change: RowChange,
}

/// How much of a row is written.
pub(crate) enum RowChange {
    /// When the peer was last seen.
    Lease,
    /// That, and the TURN offer.
    TurnOffer,
    /// All of it.
    Profile(Box<Profile>),
}
