//! Decides on the mutations of a batch that are about TURN sessions.

use std::sync::Arc;

use super::context::BatchContext;
use super::planner::Planner;
use crate::protocol::{AllocateTurnRequest, ReleaseTurnRequest, ReportTurnUsageRequest};
use crate::server::policy::allocation::Refusal;
use crate::server::policy::lease;
use crate::server::registry::directory::DirectoryPeer;
use crate::server::registry::error::RegistryError;
use crate::server::registry::relay::GrantedSession;
use crate::server::registry::reply::ReportedUsage;

impl Planner<'_> {
    /// Grants relay capacity to a peer that is active, or that this batch makes active.
    pub(crate) fn allocate(
        &mut self,
        request: &AllocateTurnRequest,
    ) -> Result<Result<Box<GrantedSession>, Refusal>, RegistryError> {
        let peer_id = &request.peer_id;
        let BatchContext {
            cutoff_ms,
            max_bytes,
            ..
        } = self.context;
        let is_active = |peer: &Arc<DirectoryPeer>| {
            !lease::is_expired(peer.last_seen_ms(), cutoff_ms)
                // An earlier mutation of this batch may have renewed the lease, which the directory
                // does not show before the commit.
                || self.revived.contains(&peer.row_id())
        };
        let found = self.directory.get(peer_id.as_str());
        if !found.is_some_and(is_active) && !self.rows.contains_key(peer_id) {
            return Err(RegistryError::UnknownPeer);
        }
        // New peers of this batch use memory that the directory does not count before the commit.
        let max_bytes = max_bytes.saturating_sub(self.added_bytes);
        let result = self
            .relay
            .allocate(request, self.directory, cutoff_ms, max_bytes)?;
        if result.is_ok() {
            self.renew(peer_id)?;
        }
        Ok(result)
    }

    /// Ends a session. Its peer may have been removed meanwhile. Returns the traffic that is
    /// counted for the session, in bytes.
    pub(crate) fn release(&mut self, request: &ReleaseTurnRequest) -> Result<i64, RegistryError> {
        let bytes = self.relay.release(request)?;
        // The peer may have been removed.
        let _ = self.renew(&request.peer_id);
        Ok(bytes)
    }

    /// Counts a TURN server's report. The server may have been removed meanwhile.
    pub(crate) fn report(&mut self, request: &ReportTurnUsageRequest) -> ReportedUsage {
        let mut accepted = 0;
        self.weight += request.sessions.len();
        for usage in &request.sessions {
            accepted += usize::from(self.relay.report(&request.peer_id, usage));
        }
        if accepted > 0 {
            let _ = self.renew(&request.peer_id);
        }
        ReportedUsage::of(request, accepted)
    }
}
