//! The active TURN servers, the least loaded first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Directory;
use super::peer::DirectoryPeer;
use crate::protocol::PeerId;

/// A load as a share of capacity, in parts of 2^32.
type LoadKey = u64;

/// The share of a server that is full.
const FULL: LoadKey = 1 << 32;

/// Active TURN servers in order of their load relative to their capacity.
#[derive(Debug, Default)]
pub(super) struct TurnServers {
    by_id: BTreeMap<PeerId, Arc<DirectoryPeer>>,
    by_load: BTreeMap<(LoadKey, PeerId), Arc<DirectoryPeer>>,
    with_room: usize,
    /// Live sessions of each server that has any, active or not.
    loads: BTreeMap<PeerId, u32>,
}

impl TurnServers {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn insert(&mut self, server: Arc<DirectoryPeer>) {
        let key = self.key_of(&server);
        self.with_room += usize::from(key.0 < FULL);
        self.by_id.insert(key.1.clone(), Arc::clone(&server));
        self.by_load.insert(key, server);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<DirectoryPeer>> {
        let server = self.by_id.remove(id)?;
        let key = self.key_of(&server);
        self.with_room -= usize::from(key.0 < FULL);
        self.by_load.remove(&key);
        Some(server)
    }

    pub(super) fn load(&self, id: &str) -> u32 {
        self.loads.get(id).copied().unwrap_or(0)
    }

    fn clear_loads(&mut self) {
        for id in self.loads.keys().cloned().collect::<Vec<_>>() {
            self.set_load(&id, 0);
        }
    }

    fn set_load(&mut self, id: &PeerId, load: u32) {
        let server = self.remove(id.as_str());
        if load == 0 {
            self.loads.remove(id);
        } else {
            self.loads.insert(id.clone(), load);
        }
        if let Some(server) = server {
            self.insert(server);
        }
    }

    fn key_of(&self, server: &DirectoryPeer) -> (LoadKey, PeerId) {
        let key = Directory::load_key(self.load(server.id()), server);
        (key, server.peer_id().clone())
    }
}

impl Directory {
    /// A load as a share of what `server` can take, in an order that compares servers.
    pub(in super::super) fn load_key(load: u32, server: &DirectoryPeer) -> LoadKey {
        let capacity = server.turn().map_or(0, |offer| offer.capacity).max(1);
        (u64::from(load) << 32) / u64::from(capacity)
    }

    /// The active TURN server of this name.
    pub(in super::super) fn turn_server(&self, id: &str) -> Option<&Arc<DirectoryPeer>> {
        self.turn_servers.by_id.get(id)
    }

    /// Active TURN servers with room and their loads, the least loaded first.
    pub(in super::super) fn turn_servers_with_room(
        &self,
    ) -> impl Iterator<Item = (u32, &Arc<DirectoryPeer>)> {
        let servers = self.turn_servers.by_load.iter();
        servers
            .take_while(|((key, _), _)| *key < FULL)
            .map(|((_, id), server)| (self.turn_servers.load(id.as_str()), server))
    }

    /// How many active TURN servers have room.
    pub(in super::super) fn count_turn_servers_with_room(&self) -> usize {
        self.turn_servers.with_room
    }

    /// Follows the numbers of live sessions of all servers that relay any.
    pub(in super::super) fn set_loads<'l>(
        &mut self,
        loads: impl Iterator<Item = (&'l PeerId, u32)>,
    ) {
        self.turn_servers.clear_loads();
        for (server_id, load) in loads {
            self.turn_servers.set_load(server_id, load);
        }
    }

    /// Follows the number of live sessions that a server relays.
    pub(in super::super) fn set_load(&mut self, server_id: &PeerId, load: u32) {
        self.turn_servers.set_load(server_id, load);
    }
}
