//! TURN sessions by all that is asked of them, with sums that are kept, not added up.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::protocol::{PeerId, Tier};
use crate::server::model::TurnSession;

/// The sessions that are not forgotten.
#[derive(Debug, Default)]
pub(in super::super) struct Sessions {
    by_id: HashMap<Arc<str>, TurnSession>,
    /// By their end: those that count as live, and those that have been settled.
    live: BTreeSet<(i64, Arc<str>)>,
    settled: BTreeSet<(i64, Arc<str>)>,
    /// Live ones.
    of_peer: HashMap<PeerId, Vec<Arc<str>>>,
    on_server: HashMap<PeerId, Vec<Arc<str>>>,
    totals: Totals,
    meter: Meter,
}

/// Sums over all live sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Totals {
    /// Bandwidth, in Mbit/s.
    pub(in super::super) mbps: u64,
    /// How many there are of each tier.
    pub(in super::super) by_tier: [u32; 4],
}

impl Totals {
    /// How many there are of `tier`.
    pub(in super::super) fn of(&self, tier: Tier) -> u32 {
        self.by_tier[tier as usize]
    }
}

/// What all live sessions together have relayed and is not in the books, as a line over time.
#[derive(Debug, Default)]
struct Meter {
    bytes_per_ms: i128,
    base_bytes: i128,
}

impl Meter {
    fn add(&mut self, session: &TurnSession, sign: i128) {
        let mut base_bytes = -i128::from(session.booked_bytes);
        match session.reported_bytes {
            Some(reported) => base_bytes += i128::from(reported),
            None => {
                let bytes_per_ms = i128::from(session.bytes_per_ms());
                self.bytes_per_ms += sign * bytes_per_ms;
                base_bytes += i128::from(session.accrued_bytes)
                    - bytes_per_ms * i128::from(session.rate_from_ms);
            }
        }
        self.base_bytes += sign * base_bytes;
    }
}

impl Sessions {
    /// The session, live or ended.
    pub(in super::super) fn get(&self, session_id: &str) -> Option<&TurnSession> {
        self.by_id.get(session_id)
    }

    /// The live sessions that a peer holds; a handful.
    pub(in super::super) fn of_peer(&self, peer_id: &str) -> impl Iterator<Item = &TurnSession> {
        self.all(self.of_peer.get(peer_id))
    }

    /// The live sessions that a server relays.
    pub(in super::super) fn on_server(
        &self,
        server_id: &str,
    ) -> impl Iterator<Item = &TurnSession> {
        self.all(self.on_server.get(server_id))
    }

    /// How many live sessions a server relays.
    pub(in super::super) fn load(&self, server_id: &str) -> u32 {
        let load = self.on_server.get(server_id).map_or(0, Vec::len);
        u32::try_from(load).unwrap_or(u32::MAX)
    }

    /// Servers that relay, with their load.
    pub(in super::super) fn loads(&self) -> impl Iterator<Item = (&PeerId, u32)> {
        let load = |ids: &Vec<Arc<str>>| u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.on_server
            .iter()
            .map(move |(server_id, ids)| (server_id, load(ids)))
    }

    /// Sums over all live sessions.
    pub(in super::super) fn totals(&self) -> Totals {
        self.totals
    }

    /// What live sessions have relayed by `now_ms` and is not in the books, in bytes.
    pub(super) fn unbooked_bytes(&self, now_ms: i64) -> i64 {
        let bytes = self.meter.base_bytes + self.meter.bytes_per_ms * i128::from(now_ms);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// Takes up a session, new or changed. It counts as live until it is settled.
    pub(super) fn put(&mut self, session: TurnSession) {
        self.take(&session.session_id);
        let id = Arc::clone(&session.session_id);
        let end = (session.expires_at_ms, Arc::clone(&id));
        if session.is_settled() {
            self.settled.insert(end);
        } else {
            self.live.insert(end);
            let peer = self.of_peer.entry(session.peer_id.clone()).or_default();
            peer.push(Arc::clone(&id));
            let server = self.on_server.entry(session.server_id.clone()).or_default();
            server.push(Arc::clone(&id));
            self.totals.mbps += u64::from(session.mbps);
            self.totals.by_tier[session.tier as usize] += 1;
            self.meter.add(&session, 1);
        }
        self.by_id.insert(id, session);
    }

    /// The live sessions that end by `now_ms`.
    pub(super) fn ending(&self, now_ms: i64) -> Vec<TurnSession> {
        let ids = self.live.iter().take_while(|(end_ms, _)| *end_ms <= now_ms);
        let ids = ids.filter_map(|(_, id)| self.by_id.get(id));
        ids.cloned().collect()
    }

    /// All that count as live.
    pub(super) fn live(&self) -> Vec<TurnSession> {
        let ids = self.live.iter().filter_map(|(_, id)| self.by_id.get(id));
        ids.cloned().collect()
    }

    /// How many settled sessions ended before `moment_ms`.
    pub(super) fn count_settled_before(&self, moment_ms: i64) -> usize {
        let ends = self.settled.iter();
        ends.take_while(|(end_ms, _)| *end_ms < moment_ms).count()
    }

    /// Forgets settled sessions that ended before `moment_ms`.
    pub(super) fn forget_settled_before(&mut self, moment_ms: i64) {
        while let Some((end_ms, _)) = self.settled.first()
            && *end_ms < moment_ms
            && let Some((_, id)) = self.settled.pop_first()
        {
            self.by_id.remove(&id);
        }
    }

    fn all<'s>(&'s self, ids: Option<&'s Vec<Arc<str>>>) -> impl Iterator<Item = &'s TurnSession> {
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.by_id.get(id))
    }

    fn take(&mut self, session_id: &str) {
        let Some(session) = self.by_id.remove(session_id) else {
            return;
        };
        let end = (session.expires_at_ms, Arc::clone(&session.session_id));
        self.settled.remove(&end);
        if self.live.remove(&end) {
            strike(&mut self.of_peer, &session.peer_id, session_id);
            strike(&mut self.on_server, &session.server_id, session_id);
            self.totals.mbps -= u64::from(session.mbps);
            self.totals.by_tier[session.tier as usize] -= 1;
            self.meter.add(&session, -1);
        }
    }
}

/// Strikes a session from the list of one peer. The list of a server is as long as its capacity.
fn strike(lists: &mut HashMap<PeerId, Vec<Arc<str>>>, peer_id: &PeerId, session_id: &str) {
    let Some(ids) = lists.get_mut(peer_id) else {
        return;
    };
    if let Some(at) = ids.iter().position(|id| **id == *session_id) {
        ids.swap_remove(at);
    }
    if ids.is_empty() {
        lists.remove(peer_id);
    }
}
