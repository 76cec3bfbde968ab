//! The active TURN servers in the order of their load.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::peer::DirectoryPeer;
use crate::protocol::PeerId;
use crate::server::policy::choice::{FULL, LoadKey, load_key};

/// Active TURN servers, sorted by their load relative to their capacity.
#[derive(Debug, Default)]
pub(crate) struct TurnServers {
    pub(crate) by_id: BTreeMap<PeerId, Arc<DirectoryPeer>>,
    pub(crate) by_load: BTreeMap<(LoadKey, PeerId), Arc<DirectoryPeer>>,
    pub(crate) with_room: usize,
    /// The number of live sessions of each server with at least one. It includes servers that are
    /// not active, since their sessions count again when they return.
    loads: BTreeMap<PeerId, u32>,
}

impl TurnServers {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn insert(&mut self, server: Arc<DirectoryPeer>) {
        let key = self.key_of(&server);
        self.with_room += usize::from(key.0 < FULL);
        self.by_id.insert(key.1.clone(), Arc::clone(&server));
        self.by_load.insert(key, server);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Arc<DirectoryPeer>> {
        let server = self.by_id.remove(id)?;
        let key = self.key_of(&server);
        self.with_room -= usize::from(key.0 < FULL);
        self.by_load.remove(&key);
        Some(server)
    }

    pub(crate) fn load(&self, id: &str) -> u32 {
        self.loads.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn clear_loads(&mut self) {
        for id in self.loads.keys().cloned().collect::<Vec<_>>() {
            self.set_load(&id, 0);
        }
    }

    pub(crate) fn set_load(&mut self, id: &PeerId, load: u32) {
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
        let capacity = server.turn().map_or(0, |offer| offer.capacity);
        let key = load_key(self.load(server.id()), capacity);
        (key, server.peer_id().clone())
    }
}
