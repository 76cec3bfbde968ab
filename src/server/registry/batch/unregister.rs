//! Decides that a peer leaves.

use super::planner::{Planner, SESSION_WEIGHT};
use crate::protocol::PeerId;
use crate::server::registry::error::RegistryError;

impl Planner<'_> {
    /// Removes a peer that is registered or was inserted by this batch.
    pub(crate) fn unregister(&mut self, peer_id: &PeerId) -> Result<(), RegistryError> {
        // The cleanup of this batch must leave the row, which is deleted later.
        self.renew(peer_id)?;
        let row_id = match self.directory.get(peer_id.as_str()) {
            Some(peer) => {
                self.weight += peer.weight();
                peer.row_id()
            }
            None => self.rows.get(peer_id).map_or(0, |row| row.row_id),
        };
        self.weight += SESSION_WEIGHT * self.relay.load(peer_id.as_str());
        self.relay.end_server(peer_id);
        self.relay.end_sessions_of(peer_id);
        self.unregistered.insert(peer_id.clone(), row_id);
        Ok(())
    }
}
