//! TURN sessions with an index for each query, and with sums that each change updates.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use enum_map::EnumMap;

use crate::protocol::{PeerId, Tier};
use crate::server::config::SessionConfig;
use crate::server::model::TurnSession;

/// The memory of a session in bytes, including its entries in the indexes.
pub(crate) const SESSION_BYTES: usize = 800;

/// A place in the order of session ends: the end in Unix milliseconds, and the session id.
pub(crate) type End = (i64, Arc<str>);

/// All sessions that were not forgotten.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: BTreeMap<Arc<str>, TurnSession>,
    /// In order of their ends. A session is in `live` until it has ended and all its traffic is
    /// counted in the daily traffic; then it is in `ended`.
    live: BTreeSet<(i64, Arc<str>)>,
    ended: BTreeSet<(i64, Arc<str>)>,
    /// Live sessions of each peer and on each server.
    of_peer: BTreeMap<PeerId, BTreeSet<Arc<str>>>,
    on_server: BTreeMap<PeerId, BTreeSet<Arc<str>>>,
    /// Ended sessions with all traffic counted, in order of their ends.
    ended_of_peer: BTreeMap<PeerId, BTreeSet<(i64, Arc<str>)>>,
    /// Peers with more ended sessions than the maximum per peer.
    over: BTreeSet<PeerId>,
    bounds: SessionConfig,
    totals: Totals,
    meter: Meter,
}

/// Sums over all live sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Bandwidth, in Mbit/s.
    pub mbps: u64,
    /// The number of sessions of each tier.
    pub by_tier: EnumMap<Tier, u32>,
}

impl Totals {
    /// The number of sessions of `tier`.
    pub(crate) fn of(&self, tier: Tier) -> u32 {
        self.by_tier[tier]
    }
}

/// The traffic of all live sessions that is not counted in the daily traffic, as a linear function
/// of time. So the present sum takes one multiplication, however many sessions there are.
#[derive(Debug, Default)]
struct Meter {
    bytes_per_ms: i128,
    base_bytes: i128,
}

impl Meter {
    fn add(&mut self, session: &TurnSession, sign: i128) {
        let mut base_bytes = -i128::from(session.booked_bytes);
        match session.reported_bytes {
            // A report replaces the estimate from the bandwidth, so this session adds nothing over
            // time.
            Some(reported) => base_bytes += i128::from(reported),
            // The line is bytes_per_ms * time + base, so the bytes before `rate_from_ms` go into
            // the base.
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
    pub(crate) fn new(bounds: SessionConfig) -> Self {
        Self {
            by_id: BTreeMap::new(),
            live: BTreeSet::new(),
            ended: BTreeSet::new(),
            of_peer: BTreeMap::new(),
            on_server: BTreeMap::new(),
            ended_of_peer: BTreeMap::new(),
            over: BTreeSet::new(),
            bounds,
            totals: Totals::default(),
            meter: Meter::default(),
        }
    }

    /// Memory of all sessions, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.by_id.len() * SESSION_BYTES
    }

    /// All sessions, live or ended.
    pub(crate) fn all(&self) -> impl Iterator<Item = &TurnSession> {
        self.by_id.values()
    }

    /// The session, live or ended.
    pub(crate) fn get(&self, session_id: &str) -> Option<&TurnSession> {
        self.by_id.get(session_id)
    }

    /// The live sessions of a peer, of which there are few.
    pub(crate) fn of_peer(&self, peer_id: &str) -> impl Iterator<Item = &TurnSession> {
        self.of(self.of_peer.get(peer_id))
    }

    /// The number of a peer's sessions, live or ended, that were granted after `since_ms`.
    pub(crate) fn granted_since(&self, peer_id: &str, since_ms: i64) -> usize {
        let ended = self.ended_of_peer.get(peer_id).into_iter().flatten();
        let ended = ended.filter_map(|(_, id)| self.by_id.get(id));
        self.of_peer(peer_id)
            .chain(ended)
            .filter(|session| session.granted_at_ms > since_ms)
            .count()
    }

    /// The live sessions on a server.
    pub(crate) fn on_server(&self, server_id: &str) -> impl Iterator<Item = &TurnSession> {
        self.of(self.on_server.get(server_id))
    }

    /// The number of live sessions on a server.
    pub(crate) fn load(&self, server_id: &str) -> u32 {
        let load = self.on_server.get(server_id).map_or(0, BTreeSet::len);
        u32::try_from(load).unwrap_or(u32::MAX)
    }

    /// The servers with live sessions, and the number of these sessions.
    pub(crate) fn loads(&self) -> impl Iterator<Item = (&PeerId, u32)> {
        let load = |ids: &BTreeSet<Arc<str>>| u32::try_from(ids.len()).unwrap_or(u32::MAX);
        self.on_server
            .iter()
            .map(move |(server_id, ids)| (server_id, load(ids)))
    }

    /// Sums over all live sessions.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    /// The traffic of live sessions until `now_ms` that is not counted in the daily traffic, in bytes.
    pub(crate) fn unbooked_bytes(&self, now_ms: i64) -> i64 {
        let bytes = self.meter.base_bytes + self.meter.bytes_per_ms * i128::from(now_ms);
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    /// Adds or replaces a session. It counts as live until all its traffic is counted.
    pub(crate) fn put(&mut self, session: TurnSession) {
        // The old version leaves all sets and sums first, because its end or bandwidth may differ.
        self.take(&session.session_id);
        let id = Arc::clone(&session.session_id);
        let end = (session.expires_at_ms, Arc::clone(&id));
        if session.is_fully_counted() {
            let peer_id = session.peer_id.clone();
            let of_peer = self.ended_of_peer.entry(peer_id).or_default();
            of_peer.insert(end.clone());
            // `forgettable` then finds these peers without looking at all peers.
            if of_peer.len() > self.bounds.max_ended_per_peer {
                self.over.insert(session.peer_id.clone());
            }
            self.ended.insert(end);
        } else {
            self.live.insert(end);
            let peer = self.of_peer.entry(session.peer_id.clone()).or_default();
            peer.insert(Arc::clone(&id));
            let server = self.on_server.entry(session.server_id.clone()).or_default();
            server.insert(Arc::clone(&id));
            self.totals.mbps += u64::from(session.mbps);
            self.totals.by_tier[session.tier] += 1;
            self.meter.add(&session, 1);
        }
        self.by_id.insert(id, session);
    }

    /// The live sessions that end by `now_ms`, in order of their ends, `max` at most.
    pub(crate) fn ending(&self, now_ms: i64, max: usize) -> Vec<TurnSession> {
        let ids = self.live.iter().take_while(|(end_ms, _)| *end_ms <= now_ms);
        let ids = ids.filter_map(|(_, id)| self.by_id.get(id));
        ids.take(max).cloned().collect()
    }

    /// Returns the live sessions after a place in the order of their ends, `max` at most, and the
    /// place of the last one, or `None` if there are no more.
    pub(crate) fn live_after(
        &self,
        place: Option<&End>,
        max: usize,
    ) -> (Vec<TurnSession>, Option<End>) {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        let ends = self.live.range((from, Bound::Unbounded)).take(max);
        // `None` if there are fewer than `max` sessions, so that no more follow.
        let last = ends.clone().nth(max - 1).cloned();
        let sessions = ends.filter_map(|(_, id)| self.by_id.get(id));
        (sessions.cloned().collect(), last)
    }

    /// The ids of sessions that can be forgotten, `max` at most: those that ended before
    /// `before_ms`, and the oldest of those above the maximum, in all and per peer.
    pub(crate) fn forgettable(&self, before_ms: i64, max: usize) -> Vec<Arc<str>> {
        let too_many = self.ended.len().saturating_sub(self.bounds.max_ended);
        let in_all = self.ended.iter().enumerate();
        let in_all = in_all
            .take_while(|(index, (end_ms, _))| *index < too_many || *end_ms < before_ms)
            .map(|(_, (_, id))| id);
        let of_peers = self.over.iter().flat_map(|peer_id| {
            let ended = self.ended_of_peer.get(peer_id);
            let ended = ended.map(|ended| (ended, ended.len()));
            ended.into_iter().flat_map(|(ended, len)| {
                let too_many = len.saturating_sub(self.bounds.max_ended_per_peer);
                ended.iter().take(too_many).map(|(_, id)| id)
            })
        });
        let mut ids: Vec<_> = in_all
            .take(max)
            .chain(of_peers.take(max))
            .cloned()
            .collect();
        // The same session may exceed both maxima.
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(max);
        ids
    }

    /// Forgets sessions.
    pub(crate) fn forget(&mut self, ids: &[Arc<str>]) {
        for id in ids {
            self.take(id);
        }
    }

    fn of<'s>(
        &'s self,
        ids: Option<&'s BTreeSet<Arc<str>>>,
    ) -> impl Iterator<Item = &'s TurnSession> {
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.by_id.get(id))
    }

    fn take_ended_of_peer(&mut self, peer_id: &PeerId, end: &(i64, Arc<str>)) {
        let Some(ended) = self.ended_of_peer.get_mut(peer_id) else {
            return;
        };
        ended.remove(end);
        if ended.len() <= self.bounds.max_ended_per_peer {
            self.over.remove(peer_id);
        }
        if ended.is_empty() {
            self.ended_of_peer.remove(peer_id);
        }
    }

    fn take(&mut self, session_id: &str) {
        let Some(session) = self.by_id.remove(session_id) else {
            return;
        };
        let end = (session.expires_at_ms, Arc::clone(&session.session_id));
        if self.ended.remove(&end) {
            self.take_ended_of_peer(&session.peer_id, &end);
        }
        // Only live sessions are in the sums, so only they are subtracted.
        if self.live.remove(&end) {
            remove_from(&mut self.of_peer, &session.peer_id, session_id);
            remove_from(&mut self.on_server, &session.server_id, session_id);
            self.totals.mbps -= u64::from(session.mbps);
            self.totals.by_tier[session.tier] -= 1;
            self.meter.add(&session, -1);
        }
    }
}

/// Removes a session from the set of one peer.
fn remove_from(
    sets: &mut BTreeMap<PeerId, BTreeSet<Arc<str>>>,
    peer_id: &PeerId,
    session_id: &str,
) {
    let Some(ids) = sets.get_mut(peer_id) else {
        return;
    };
    ids.remove(session_id);
    if ids.is_empty() {
        sets.remove(peer_id);
    }
}
