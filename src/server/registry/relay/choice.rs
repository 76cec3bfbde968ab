//! Which TURN server relays a new session.

use super::planner::RelayPlanner;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::policy::lease;
use crate::server::registry::directory::{Directory, DirectoryPeer};

impl RelayPlanner<'_> {
    /// The server with room that is least loaded for its capacity, other than the peer itself.
    pub(crate) fn choose(
        &self,
        directory: &Directory,
        peer_id: &PeerId,
        cutoff_ms: i64,
    ) -> Option<(PeerId, TurnOffer)> {
        // Those that have run out but are not moved from the active ones yet.
        let is_active =
            |server: &DirectoryPeer| !lease::is_expired(server.last_seen_ms(), cutoff_ms);
        let changed = self.loads.iter().filter_map(|(server_id, change)| {
            let server = directory.turn_server(server_id.as_str())?;
            let load = i64::from(self.relay.sessions.load(server_id.as_str())) + change;
            Some((u32::try_from(load).unwrap_or(0), server))
        });
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
