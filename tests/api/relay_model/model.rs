//! The relay side of the registry as its contract describes it.

use std::collections::{BTreeMap, BTreeSet};

use super::{DAY_MS, START_OF_FEBRUARY, TIMEOUT_MS};

pub struct Peer {
    pub renewed_up_ms: i64,
    pub capacity: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub id: String,
    pub peer: String,
    pub server: String,
    pub tier: usize,
    pub mbps: i64,
    pub granted_ms: i64,
    pub end_ms: i64,
    pub rate_from_ms: i64,
    pub accrued: i64,
    pub reported: Option<i64>,
    pub booked: i64,
    pub booked_until_ms: i64,
}

impl Session {
    pub fn estimate(&self, at_ms: i64) -> i64 {
        self.accrued + 125 * self.mbps * (at_ms.min(self.end_ms) - self.rate_from_ms)
    }

    /// The part of a report that counts: up to twice what was granted so far, for at least 1 ms.
    pub fn credible(&self, bytes: i64, at_ms: i64) -> i64 {
        bytes.min(2 * self.estimate(at_ms).max(125 * self.mbps))
    }

    pub fn bytes(&self, at_ms: i64) -> i64 {
        self.reported.unwrap_or_else(|| self.estimate(at_ms))
    }
}

#[derive(Default)]
pub struct Model {
    pub now_ms: i64,
    pub up_ms: i64,
    pub peers: BTreeMap<String, Peer>,
    pub tiers: BTreeMap<String, usize>,
    /// In the order in which they were granted.
    pub sessions: Vec<Session>,
    /// Relayed bytes by day, as far as sessions have ended or days have.
    pub days: BTreeMap<i64, i64>,
}

impl Model {
    pub fn advance(&mut self, ms: i64, is_up: bool) {
        self.now_ms += ms;
        self.up_ms += if is_up { ms } else { 0 };
        for at in 0..self.sessions.len() {
            self.book(at, self.now_ms / DAY_MS * DAY_MS);
        }
    }

    /// Books what a session has relayed, up to its end or `until_ms`, on the days on which it relayed.
    fn book(&mut self, at: usize, until_ms: i64) {
        let session = &mut self.sessions[at];
        let until_ms = if session.end_ms <= self.now_ms {
            session.end_ms
        } else {
            until_ms
        };
        while session.booked_until_ms < until_ms {
            let day = session.booked_until_ms / DAY_MS;
            let moment_ms = until_ms.min((day + 1) * DAY_MS);
            let bytes = session.bytes(moment_ms);
            *self.days.entry(day).or_default() += bytes - session.booked;
            (session.booked, session.booked_until_ms) = (bytes, moment_ms);
        }
    }

    /// Books a report that came after the end of its session, on the last day of the session.
    pub fn correct(&mut self, at: usize) {
        let session = &mut self.sessions[at];
        let day = session.granted_ms.max(session.end_ms - 1) / DAY_MS;
        let bytes = session.bytes(session.end_ms);
        *self.days.entry(day).or_default() += bytes - session.booked;
        session.booked = bytes;
    }

    pub fn end(&mut self, at: usize) {
        self.sessions[at].end_ms = self.now_ms;
        self.book(at, self.now_ms);
        self.correct(at);
    }

    pub fn is_active(&self, id: &str) -> bool {
        let peer = self.peers.get(id);
        peer.is_some_and(|peer| self.up_ms - peer.renewed_up_ms <= TIMEOUT_MS)
    }

    pub fn relays(&self, id: &str) -> bool {
        self.is_active(id) && self.peers[id].capacity.is_some()
    }

    pub fn is_live(&self, session: &Session) -> bool {
        self.now_ms < session.end_ms
    }

    pub fn live(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| self.is_live(session))
    }

    pub fn load(&self, server: &str) -> u32 {
        self.live()
            .filter(|session| session.server == server)
            .count() as u32
    }

    /// Active servers with room, the least loaded first.
    pub fn servers(&self) -> Vec<(String, u32)> {
        let ids = self.peers.keys().filter(|id| self.relays(id));
        let mut servers: Vec<_> = ids
            .map(|id| (id.clone(), self.load(id), self.peers[id].capacity.unwrap()))
            .filter(|(_, load, capacity)| load < capacity)
            .collect();
        servers.sort_by(|left, right| {
            (left.1 * right.2)
                .cmp(&(right.1 * left.2))
                .then(left.0.cmp(&right.0))
        });
        servers
            .into_iter()
            .map(|(id, load, _)| (id, load))
            .collect()
    }

    /// The effect of any accepted mutation: renews the sender's lease, and removes expired peers with
    /// the sessions on them.
    pub fn accept(&mut self, sender: Option<&str>) {
        let up_ms = self.up_ms;
        if let Some(peer) = sender.and_then(|id| self.peers.get_mut(id)) {
            peer.renewed_up_ms = up_ms;
        }
        let expired: BTreeSet<_> = self
            .peers
            .keys()
            .filter(|id| !self.is_active(id))
            .cloned()
            .collect();
        for id in expired {
            if self.peers.remove(&id).unwrap().capacity.is_some() {
                self.end_server(&id);
            }
        }
    }

    pub fn end_server(&mut self, id: &str) {
        for at in 0..self.sessions.len() {
            if self.sessions[at].server == id && self.is_live(&self.sessions[at]) {
                self.end(at);
            }
        }
    }

    /// Relayed bytes of this month.
    pub fn month_bytes(&self) -> i64 {
        let is_new = |day: i64| day >= START_OF_FEBRUARY;
        let is_this_month = |day: i64| is_new(day) == is_new(self.now_ms / DAY_MS);
        let days = self.days.iter().filter(|(day, _)| is_this_month(**day));
        let unbooked = self
            .live()
            .map(|session| session.bytes(self.now_ms) - session.booked);
        days.map(|(_, bytes)| bytes).sum::<i64>() + unbooked.sum::<i64>()
    }
}
