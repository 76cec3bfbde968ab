//! What a batch changes, on its way into the tables and into the view.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::Bookings;
use crate::protocol::{PeerId, Tier};
use crate::server::model::{DayTraffic, TurnSession};
use crate::server::policy::cost::CostState;
use crate::server::storage::RelayChanges;

/// The part of a transaction's changes that is new to the view.
#[derive(Debug, Default)]
pub(in super::super) struct Planned {
    pub(super) traffic: Vec<(i64, DayTraffic)>,
    /// Servers whose load has changed.
    pub(in super::super) servers: Vec<PeerId>,
}

/// The changes of a batch, before those that time has made are added.
#[derive(Debug)]
pub(in super::super) struct Drafted {
    pub(super) sessions: BTreeMap<Arc<str>, TurnSession>,
    pub(super) bookings: Bookings,
    /// Servers whose load will have changed.
    pub(super) servers: Vec<PeerId>,
    pub(super) tiers: BTreeMap<PeerId, Tier>,
    pub(super) state: Option<CostState>,
}

impl Drafted {
    /// Whether the batch changes nothing of the kind.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tiers.is_empty() && self.state.is_none()
    }

    /// Adds what time has changed and no transaction has written.
    pub(in super::super) fn merge(self, unsaved: RelayChanges) -> (RelayChanges, Planned) {
        let planned = Planned {
            traffic: self.bookings.rows(),
            servers: self.servers,
        };
        let mut sessions = unsaved.sessions;
        sessions.retain(|session| !self.sessions.contains_key(&session.session_id));
        sessions.extend(self.sessions.into_values());
        let mut bookings = self.bookings;
        bookings.extend(&unsaved.traffic);
        let changes = RelayChanges {
            sessions,
            forgotten: unsaved.forgotten,
            traffic: bookings.into_rows(),
            tiers: self.tiers.into_iter().collect(),
            state: self.state.or(unsaved.state),
        };
        (changes, planned)
    }
}
