//! The directory's TURN servers, as allocations and listings look at them.

use std::sync::Arc;

use super::peer::DirectoryPeer;
use super::registered::Directory;
use super::turn_servers::{self, FULL, LoadKey};
use crate::protocol::PeerId;

impl Directory {
    /// A load as a share of what `server` can take, in an order that compares servers.
    pub(crate) fn load_key(load: u32, server: &DirectoryPeer) -> LoadKey {
        turn_servers::load_key(load, server)
    }

    /// The active TURN server of this name.
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

    /// How many active TURN servers have room.
    pub(crate) fn count_turn_servers_with_room(&self) -> usize {
        self.turn_servers.with_room
    }

    /// Follows the numbers of live sessions of all servers that relay any.
    pub(crate) fn set_loads<'l>(&mut self, loads: impl Iterator<Item = (&'l PeerId, u32)>) {
        self.turn_servers.clear_loads();
        for (server_id, load) in loads {
            self.turn_servers.set_load(server_id, load);
        }
    }

    /// Follows the number of live sessions that a server relays.
    pub(crate) fn set_load(&mut self, server_id: &PeerId, load: u32) {
        self.turn_servers.set_load(server_id, load);
    }
}
