//! Rows as they will be after a batch.

use super::context::BatchContext;
use crate::protocol::TurnOffer;
use crate::server::model::Profile;
use crate::server::registry::directory::History;
use crate::server::registry::reply::Noted;

/// The row of a peer as it will be after the batch.
pub(crate) struct PendingRow {
    pub(crate) row_id: i64,
    pub(crate) registered_at_ms: i64,
    /// The TURN offer after the batch.
    pub(crate) turn: Option<TurnOffer>,
    pub(crate) change: RowChange,
    /// The digest of all that is stored for the peer after the batch.
    pub(crate) digest: u64,
    pub(crate) history: History,
    /// Whether its registration is proven.
    pub(crate) is_authenticated: bool,
}

impl PendingRow {
    /// What the peer is told about its registration.
    pub(crate) fn noted(&self, context: &BatchContext) -> Noted {
        Noted {
            digest: self.digest,
            alternates: self.history.alternates(context.now_ms, context.lease_ms),
        }
    }
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
