//! Rows as they will be after a batch.

use crate::protocol::TurnOffer;
use crate::server::model::Profile;

/// The row of a peer as it will be after the batch.
pub(crate) struct PendingRow {
    pub(crate) row_id: i64,
    pub(crate) registered_at_ms: i64,
    /// The TURN offer after the batch.
    pub(crate) turn: Option<TurnOffer>,
    pub(crate) change: RowChange,
}

/// Which part of a row is written.
pub(crate) enum RowChange {
    /// The time at which the peer was last seen.
    Lease,
    /// That time, and the TURN offer.
    TurnOffer,
    /// The whole row.
    Profile(Box<Profile>),
}
