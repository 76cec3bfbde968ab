//! The choice of the TURN server for a new session.

use super::planner::RelayPlanner;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::policy::choice::Candidate;
use crate::server::policy::lease;
use crate::server::registry::directory::{Directory, DirectoryPeer};

impl RelayPlanner<'_> {
    /// Returns the best server that may relay for `asker`, with its offer.
    pub(crate) fn choose<'d>(
        &self,
        directory: &'d Directory,
        asker: &PeerId,
        cutoff_ms: i64,
    ) -> Option<(PeerId, TurnOffer)> {
        let candidate = |load, server: &'d DirectoryPeer| Candidate {
            peer_id: server.peer_id(),
            load,
            capacity: server.turn().map_or(0, |offer| offer.capacity),
            // The directory may still list servers that have expired but that no step has removed
            // from the list yet.
            is_active: !lease::is_expired(server.last_seen_ms(), cutoff_ms)
                && !self.left.contains(server.peer_id()),
        };
        // The directory orders servers by their loads before the batch. Servers whose load the
        // batch changes are compared separately, with their loads after it.
        let changed = self.loads.iter().filter_map(|(server_id, change)| {
            let server = directory.turn_server(server_id.as_str())?;
            let load = i64::from(self.relay.sessions.load(server_id.as_str())) + change;
            Some(candidate(u32::try_from(load).unwrap_or(0), server))
        });
        let changed = changed.filter(|server| server.is_eligible_for(asker));
        // The directory lists the best first, so the first unchanged server is the best of them.
        let unchanged = directory
            .turn_servers_with_room()
            .map(|(load, server)| candidate(load, server))
            .filter(|server| !self.loads.contains_key(server.peer_id))
            .find(|server| server.is_eligible_for(asker));
        let best = changed
            .chain(unchanged)
            .min_by(|a, b| a.rank().cmp(&b.rank()))?;
        let offer = directory.turn_server(best.peer_id.as_str())?.turn()?;
        Some((best.peer_id.clone(), offer.clone()))
    }
}
