//! The choice of the TURN server for a new session.

use super::planner::RelayPlanner;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::policy::lease;
use crate::server::registry::directory::{Directory, DirectoryPeer};

impl RelayPlanner<'_> {
    /// Returns the server with room that has the lowest load relative to its capacity, other than
    /// the peer itself.
    pub(crate) fn choose(
        &self,
        directory: &Directory,
        peer_id: &PeerId,
        cutoff_ms: i64,
    ) -> Option<(PeerId, TurnOffer)> {
        // The directory may still list servers that have expired but that no step has removed from
        // the list yet.
        let is_active =
            |server: &DirectoryPeer| !lease::is_expired(server.last_seen_ms(), cutoff_ms);
        // The directory orders servers by their loads before the batch. Servers whose load the
        // batch changes are compared separately, with their loads after it.
        let changed = self.loads.iter().filter_map(|(server_id, change)| {
            let server = directory.turn_server(server_id.as_str())?;
            let load = i64::from(self.relay.sessions.load(server_id.as_str())) + change;
            Some((u32::try_from(load).unwrap_or(0), server))
        });
        // The directory lists the least loaded first, so the first unchanged server is the best of
        // them.
        let unchanged = directory
            .turn_servers_with_room()
            .find(|(_, server)| {
                server.peer_id() != peer_id
                    && is_active(server)
                    && !self.loads.contains_key(server.peer_id())
                    && !self.left.contains(server.peer_id())
            })
            .into_iter();
        changed
            .chain(unchanged)
            .filter(|(load, server)| {
                let capacity = server.turn().map_or(0, |offer| offer.capacity);
                server.peer_id() != peer_id
                    && is_active(server)
                    && *load < capacity
                    && !self.left.contains(server.peer_id())
            })
            .min_by_key(|(load, server)| (Directory::load_key(*load, server), server.peer_id()))
            .and_then(|(_, server)| Some((server.peer_id().clone(), server.turn()?.clone())))
    }
}
