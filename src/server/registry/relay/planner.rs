//! Decides on the relay mutations of one batch, in order of arrival. It does not change the state
//! that readers see; each mutation is decided on the state as the mutations before it will leave
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::daily_traffic::DailyTraffic;
use super::plan::RelayPlan;
use super::sessions::SESSION_BYTES;
use super::state::{REPORT_GRACE_MS, Relay};
use crate::protocol::{
    AllocateTurnRequest, CostMode, ModeOverride, PeerId, ReleaseTurnRequest, SessionUsage, Tier,
    TurnOffer,
};
use crate::server::model::{Bill, CostState, TurnSession};
use crate::server::policy::allocation::{self, AllocationRequest, Grant, GrantedCapacity, Refusal};
use crate::server::registry::directory::Directory;
use crate::server::registry::error::RegistryError;

/// The period over which new sessions of a peer are counted for the rate limit, in milliseconds.
const MINUTE_MS: i64 = 60_000;

/// Plans the relay changes of a batch.
pub(crate) struct RelayPlanner<'r> {
    pub(crate) relay: &'r Relay,
    now_ms: i64,
    /// Changed and new sessions, as they will be after the batch.
    sessions: BTreeMap<Arc<str>, TurnSession>,
    /// New sessions of each peer.
    new_of_peer: HashMap<PeerId, Vec<Arc<str>>>,
    /// New sessions on each server.
    new_on_server: HashMap<PeerId, Vec<Arc<str>>>,
    new_sessions: usize,
    /// The changes of the servers' loads.
    pub(crate) loads: HashMap<PeerId, i64>,
    /// Servers that leave the directory with this batch.
    pub(crate) left: HashSet<PeerId>,
    /// The change of the bandwidth of all live sessions, in Mbit/s.
    mbps: i64,
    /// The change of the number of live premium sessions.
    premium: i64,
    traffic: DailyTraffic,
    tiers: BTreeMap<PeerId, Tier>,
    state: Option<CostState>,
}

/// A session that was granted or renewed.
#[derive(Clone, Debug)]
pub(crate) struct GrantedSession {
    /// The session.
    pub session: TurnSession,
    /// Its duration unless it is renewed, in seconds.
    pub duration_secs: u64,
    /// What the TURN server offers.
    pub offer: TurnOffer,
}

impl<'r> RelayPlanner<'r> {
    pub(crate) fn new(relay: &'r Relay, now_ms: i64) -> Self {
        Self {
            relay,
            now_ms,
            sessions: BTreeMap::new(),
            new_of_peer: HashMap::new(),
            new_on_server: HashMap::new(),
            new_sessions: 0,
            loads: HashMap::new(),
            left: HashSet::new(),
            mbps: 0,
            premium: 0,
            traffic: DailyTraffic::default(),
            tiers: BTreeMap::new(),
            state: None,
        }
    }

    /// Whether the batch makes no relay changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.tiers.is_empty() && self.state.is_none()
    }

    /// Grants a session, renews one, or refuses. `max_bytes` is the maximum memory of all peers and
    /// sessions, in bytes.
    pub(crate) fn allocate(
        &mut self,
        request: &AllocateTurnRequest,
        directory: &Directory,
        cutoff_ms: i64,
        max_bytes: usize,
    ) -> Result<Result<Box<GrantedSession>, Refusal>, RegistryError> {
        let renewed = match &request.session_id {
            None => None,
            Some(id) => match self.renewable(id, &request.peer_id, directory) {
                None => return Err(RegistryError::UnknownSession),
                renewed => renewed,
            },
        };
        let set = self.tier_set(&request.peer_id);
        let ask = AllocationRequest {
            tier: allocation::tier_of(set, request, self.relay.config.trust_client_tier),
            mbps: request.estimated_mbps,
            p2p_attempted: request.p2p_attempted,
            renewed: renewed.as_ref().map(|(session, _)| session.tier),
        };
        // The limits count the peer's other sessions, not the one that is renewed.
        let standing = self.standing(&request.peer_id, renewed.as_ref(), directory);
        let tiers = &self.relay.config.tiers;
        let grant = match allocation::decide(ask, standing, self.mode(), tiers) {
            Ok(grant) => grant,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if renewed.is_none() {
            // A renewal needs no new memory and starts no new session, so these two limits are for
            // grants.
            if directory.bytes() + self.bytes() > max_bytes {
                return Err(RegistryError::RegistryFull);
            }
            let allowed = self.relay.bounds.max_new_per_minute;
            if self.granted_in_last_minute(&request.peer_id) >= allowed {
                return Ok(Err(Refusal::TooOften { allowed }));
            }
        }
        let granted = match renewed {
            Some((session, offer)) => Some((self.renew(session, grant), offer)),
            None => self
                .choose(directory, &request.peer_id, cutoff_ms)
                .map(|(server_id, offer)| (self.grant(&request.peer_id, server_id, grant), offer)),
        };
        let Some((session, offer)) = granted else {
            return Ok(Err(Refusal::NoTurnServer));
        };
        // The next allocation in this batch must count this one.
        self.put(session.clone());
        Ok(Ok(Box::new(GrantedSession {
            session,
            duration_secs: grant.duration_secs,
            offer,
        })))
    }

    /// Memory of all sessions after the batch, in bytes.
    fn bytes(&self) -> usize {
        self.relay.bytes() + self.new_sessions * SESSION_BYTES
    }

    fn granted_in_last_minute(&self, peer_id: &PeerId) -> usize {
        let since_ms = self.now_ms - MINUTE_MS;
        let before = self
            .relay
            .sessions
            .granted_since(peer_id.as_str(), since_ms);
        before + self.new_of_peer.get(peer_id).map_or(0, Vec::len)
    }

    fn grant(&self, peer_id: &PeerId, server_id: PeerId, grant: Grant) -> TurnSession {
        // The id is random, so that no other client can guess it.
        let id: u128 = rand::random();
        TurnSession {
            session_id: format!("{id:032x}").into(),
            peer_id: peer_id.clone(),
            server_id,
            tier: grant.tier,
            mbps: grant.mbps,
            granted_at_ms: self.now_ms,
            expires_at_ms: self.end_of(grant),
            rate_from_ms: self.now_ms,
            accrued_bytes: 0,
            reported_bytes: None,
            booked_bytes: 0,
            booked_until_ms: self.now_ms,
        }
    }

    fn renew(&self, session: TurnSession, grant: Grant) -> TurnSession {
        TurnSession {
            tier: grant.tier,
            mbps: grant.mbps,
            expires_at_ms: self.end_of(grant),
            accrued_bytes: session.granted_bytes(self.now_ms),
            rate_from_ms: self.now_ms,
            ..session
        }
    }

    fn end_of(&self, grant: Grant) -> i64 {
        let duration_ms = grant.duration_secs.saturating_mul(1000);
        self.now_ms.saturating_add_unsigned(duration_ms)
    }

    /// Ends a session. Returns the traffic that is counted for it, in bytes.
    pub(crate) fn release(&mut self, request: &ReleaseTurnRequest) -> Result<i64, RegistryError> {
        let session = self.live(&request.session_id);
        let own = session.filter(|session| session.peer_id == request.peer_id);
        let mut session = own.cloned().ok_or(RegistryError::UnknownSession)?;
        if let Some(bytes) = request.bytes_transferred {
            // A report of the TURN server takes precedence over the peer's own figure.
            let bytes = allocation::credible_bytes(&session, bytes, self.now_ms);
            session.reported_bytes.get_or_insert(bytes);
        }
        Ok(self.end(session))
    }

    /// Ends all sessions on a server that leaves the directory.
    pub(crate) fn end_server(&mut self, server_id: &PeerId) {
        self.left.insert(server_id.clone());
        let of_state = self.relay.sessions.on_server(server_id.as_str());
        let ids = of_state.map(|session| &session.session_id);
        // Sessions that this batch granted are not in the state yet.
        let granted_now = self.new_on_server.get(server_id).into_iter().flatten();
        let mut ids: Vec<_> = ids.chain(granted_now).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let session = self
                .live(&id)
                .filter(|session| session.server_id == *server_id);
            if let Some(session) = session.cloned() {
                self.end(session);
            }
        }
    }

    /// Ends all sessions that a peer holds.
    pub(crate) fn end_sessions_of(&mut self, peer_id: &PeerId) {
        let sessions: Vec<_> = self.live_of_peer(peer_id).cloned().collect();
        for session in sessions {
            self.end(session);
        }
    }

    fn end(&mut self, mut session: TurnSession) -> i64 {
        session.expires_at_ms = self.now_ms;
        self.traffic.add_session(&mut session, self.now_ms);
        // The traffic may be counted up to this millisecond already, without the latest report. The
        // call above then does nothing, and this one adds the difference.
        self.traffic.correct(&mut session);
        let bytes = session.relayed_bytes(self.now_ms);
        self.put(session);
        bytes
    }

    /// Counts a server's report on a session. Returns whether the report counts: the session must be
    /// on this server, and must not have ended too long ago.
    pub(crate) fn report(&mut self, server_id: &PeerId, usage: &SessionUsage) -> bool {
        let session = self.session(&usage.session_id);
        let is_its_own = |session: &&TurnSession| {
            // Only a write forgets sessions, so one may be kept for longer than the grace.
            session.server_id == *server_id
                && self.now_ms - session.expires_at_ms <= REPORT_GRACE_MS
        };
        let Some(session) = session.filter(is_its_own) else {
            return false;
        };
        let mut session = session.clone();
        let bytes = allocation::credible_bytes(&session, usage.bytes_transferred, self.now_ms);
        session.reported_bytes = Some(bytes);
        // All its traffic was counted at its end, so the difference must be added now.
        if session.is_fully_counted() {
            self.traffic.correct(&mut session);
        }
        self.put(session);
        true
    }

    pub(crate) fn set_tier(&mut self, peer_id: &PeerId, tier: Tier) {
        self.tiers.insert(peer_id.clone(), tier);
    }

    pub(crate) fn set_spend(&mut self, spend_usd: f64, as_of_ms: i64) {
        let bill = Bill {
            spend_usd,
            as_of_ms,
            // The bill replaces the cost that was metered up to its time, so that cost is stored
            // with it.
            metered_usd: self.relay.metered_usd_at(as_of_ms, self.now_ms),
        };
        self.state.get_or_insert(self.relay.state).bill = Some(bill);
    }

    pub(crate) fn set_mode(&mut self, forced: Option<(CostMode, i64)>) {
        let forced = forced.map(|(mode, until_ms)| ModeOverride { mode, until_ms });
        self.state.get_or_insert(self.relay.state).forced = forced;
    }

    /// The number of live sessions on a server before the batch.
    pub(crate) fn load(&self, server_id: &str) -> usize {
        self.relay.sessions.load(server_id) as usize
    }

    /// Returns the changes of the batch.
    pub(crate) fn finish(self) -> RelayPlan {
        RelayPlan {
            sessions: self.sessions,
            traffic: self.traffic,
            servers: self.loads.into_keys().collect(),
            tiers: self.tiers,
            state: self.state,
        }
    }

    fn mode(&self) -> CostMode {
        let state = self.state.as_ref().unwrap_or(&self.relay.state);
        state.mode_at(&self.relay.config, self.now_ms)
    }

    fn tier_set(&self, peer_id: &PeerId) -> Tier {
        let tier = self.tiers.get(peer_id).or(self.relay.tiers.get(peer_id));
        tier.copied().unwrap_or_default()
    }

    fn session(&self, session_id: &str) -> Option<&TurnSession> {
        let of_state = || self.relay.sessions.get(session_id);
        self.sessions.get(session_id).or_else(of_state)
    }

    fn live(&self, session_id: &str) -> Option<&TurnSession> {
        let session = self.session(session_id)?;
        session.is_live(self.now_ms).then_some(session)
    }

    /// Returns the live session with this id if it belongs to the peer and its server is active.
    fn renewable(
        &self,
        session_id: &str,
        peer_id: &PeerId,
        directory: &Directory,
    ) -> Option<(TurnSession, TurnOffer)> {
        let session = self.live(session_id)?;
        let server = directory.turn_server(session.server_id.as_str())?;
        let offer = server.turn()?;
        (session.peer_id == *peer_id).then(|| (session.clone(), offer.clone()))
    }

    /// The capacity that is granted already. A session on a server that has left does not count
    /// against its peer, which cannot use it.
    fn standing(
        &self,
        peer_id: &PeerId,
        renewed: Option<&(TurnSession, TurnOffer)>,
        directory: &Directory,
    ) -> GrantedCapacity {
        let totals = self.relay.sessions.totals();
        let total_mbps = totals.mbps.saturating_add_signed(self.mbps);
        let premium = i64::from(totals.of(Tier::Premium)) + self.premium;
        let mut standing = GrantedCapacity {
            premium_sessions: u32::try_from(premium).unwrap_or(0),
            ..GrantedCapacity::default()
        };
        let mut all_own_mbps = 0;
        for session in self.live_of_peer(peer_id) {
            all_own_mbps += u64::from(session.mbps);
            let is_renewed =
                renewed.is_some_and(|(renewed, _)| renewed.session_id == session.session_id);
            if is_renewed {
                if session.tier == Tier::Premium {
                    standing.premium_sessions = standing.premium_sessions.saturating_sub(1);
                }
            } else if directory.turn_server(session.server_id.as_str()).is_some() {
                standing.own_sessions += 1;
                standing.own_mbps += u64::from(session.mbps);
            }
        }
        // The total includes all sessions of the peer, so all of them are subtracted, on any
        // server.
        standing.other_mbps = total_mbps.saturating_sub(all_own_mbps);
        standing
    }

    fn live_of_peer(&self, peer_id: &PeerId) -> impl Iterator<Item = &TurnSession> {
        let of_state = self.relay.sessions.of_peer(peer_id.as_str());
        let of_state = of_state.filter_map(|session| self.live(&session.session_id));
        let new = self.new_of_peer.get(peer_id).into_iter().flatten();
        of_state.chain(new.filter_map(|id| self.live(id)))
    }

    /// Stores a session as it will be after the batch, and updates the sums.
    fn put(&mut self, session: TurnSession) {
        let before = self.live(&session.session_id).cloned();
        let is_new = self.session(&session.session_id).is_none();
        // The old version of the session is subtracted from the sums and the new one is added.
        for (session, sign) in before.iter().map(|it| (it, -1)).chain([(&session, 1)]) {
            if session.is_live(self.now_ms) {
                *self.loads.entry(session.server_id.clone()).or_default() += sign;
                self.mbps += sign * i64::from(session.mbps);
                self.premium += sign * i64::from(session.tier == Tier::Premium);
            }
        }
        let id = Arc::clone(&session.session_id);
        if is_new {
            let of_peer = self.new_of_peer.entry(session.peer_id.clone()).or_default();
            of_peer.push(Arc::clone(&id));
            let server_id = session.server_id.clone();
            let on_server = self.new_on_server.entry(server_id).or_default();
            on_server.push(Arc::clone(&id));
            self.new_sessions += 1;
        }
        self.sessions.insert(id, session);
    }
}
