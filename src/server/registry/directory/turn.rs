//! Access to the directory's TURN servers for allocations and listings.

use std::sync::Arc;

use super::peer::DirectoryPeer;
use super::registered::Directory;
use crate::protocol::PeerId;
use crate::server::policy::choice::FULL;

impl Directory {
    /// The active TURN server with this id.
    pub(crate) fn turn_server(&self, id: &str) -> Option<&Arc<DirectoryPeer>> {
        self.turn_servers.by_id.get(id)
    }

    /// Active TURN servers with room and their loads, the least loaded first.
    pub(crate) fn turn_servers_with_room(
        &self,
    ) -> impl Iterator<Item = (u32, &Arc<DirectoryPeer>)> {
        let servers = self.turn_servers.by_load.iter();
        servers
            .take_while(|((key, _), _)| *key < FULL)
            .map(|((_, id), server)| (self.turn_servers.load(id.as_str()), server))
    }

    /// The number of active TURN servers with room.
    pub(crate) fn count_turn_servers_with_room(&self) -> usize {
        self.turn_servers.with_room
    }

    /// Replaces the numbers of live sessions of all servers.
    pub(crate) fn set_loads<'l>(&mut self, loads: impl Iterator<Item = (&'l PeerId, u32)>) {
        self.turn_servers.clear_loads();
        for (server_id, load) in loads {
            self.turn_servers.set_load(server_id, load);
        }
    }

    /// Sets the number of live sessions on a server.
    pub(crate) fn set_load(&mut self, server_id: &PeerId, load: u32) {
        self.turn_servers.set_load(server_id, load);
    }
}
