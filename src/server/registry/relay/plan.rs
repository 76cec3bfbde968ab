//! The relay changes of a batch, for the tables and for memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::daily_traffic::DailyTraffic;
use crate::protocol::{PeerId, Tier};
use crate::server::model::{CostState, DayTraffic, TurnSession};
use crate::server::storage::RelayChanges;

/// The part of a transaction's changes that memory does not have yet.
#[derive(Debug, Default)]
pub(crate) struct RelayUpdate {
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Servers with a new number of live sessions.
    pub servers: Vec<PeerId>,
}

/// The changes of a batch, without the changes that time has made.
#[derive(Debug)]
pub(crate) struct RelayPlan {
    pub sessions: BTreeMap<Arc<str>, TurnSession>,
    pub traffic: DailyTraffic,
    /// Servers with a new number of live sessions.
    pub servers: Vec<PeerId>,
    pub tiers: BTreeMap<PeerId, Tier>,
    pub state: Option<CostState>,
}

impl RelayPlan {
    /// Whether the batch makes no relay changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tiers.is_empty() && self.state.is_none()
    }

    /// Adds the changes that time has made and no transaction has written.
    pub(crate) fn merge(self, unsaved: RelayChanges) -> (RelayChanges, RelayUpdate) {
        let update = RelayUpdate {
            traffic: self.traffic.rows(),
            servers: self.servers,
        };
        let mut sessions = unsaved.sessions;
        // A session in the plan was copied from the state after time had changed it, so it is
        // newer.
        sessions.retain(|session| !self.sessions.contains_key(&session.session_id));
        sessions.extend(self.sessions.into_values());
        let mut traffic = self.traffic;
        traffic.extend(&unsaved.traffic);
        let changes = RelayChanges {
            sessions,
            forgotten: unsaved.forgotten,
            traffic: traffic.into_rows(),
            tiers: self.tiers.into_iter().collect(),
            state: self.state.or(unsaved.state),
        };
        (changes, update)
    }
}
