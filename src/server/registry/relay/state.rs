//! The relay state in memory: what was granted, and what it costs.
//!
//! Commits change it, and so does time: sessions end, days begin, and the mode follows the cost.
//! The next transaction with relay changes also writes the changes that time has made. If the
//! tables are read again before that, these changes are computed again with the same result.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::daily_traffic::{DailyTraffic, day_of, first_day_of_month};
use super::plan::RelayUpdate;
use super::sent_bytes::{SentBytes, SentProgress};
use super::sessions::{End, Sessions};
use super::status::CostStatus;
use crate::protocol::{CostMode, PeerId, Tier};
use crate::server::config::{CostConfig, SessionConfig};
use crate::server::model::{CostState, TurnSession};
use crate::server::policy::cost::{self, Forecast, Month};
use crate::server::storage::{RelayChanges, RelayRows};

/// How long an ended session is kept, for a TURN server that reports late, in milliseconds.
pub(crate) const REPORT_GRACE_MS: i64 = 3_600_000;

/// The maximum number of sessions that are ended, or forgotten, in one step. More would delay all
/// other requests.
const MAX_SESSIONS_AT_ONCE: usize = 2_000;

/// The granted sessions, their cost, and the settings of operators.
#[derive(Debug)]
pub(crate) struct Relay {
    pub config: CostConfig,
    pub bounds: SessionConfig,
    pub sessions: Sessions,
    traffic: DailyTraffic,
    pub tiers: HashMap<PeerId, Tier>,
    pub state: CostState,
    today: i64,
    /// Whether the traffic of some live sessions on the days before today is not counted yet.
    is_day_open: bool,
    /// The last session whose traffic on those days was counted.
    counted_day: Option<End>,
    sent: SentProgress,
    unsaved: Unsaved,
    /// The time of the last update, in Unix milliseconds.
    updated_ms: i64,
}

/// The changes that time has made and no transaction has written.
#[derive(Debug, Default)]
struct Unsaved {
    sessions: BTreeMap<Arc<str>, TurnSession>,
    traffic: DailyTraffic,
    state: bool,
}

impl Relay {
    /// The first day whose traffic is needed at `now_ms`, in days since 1970-01-01.
    pub(crate) fn first_day(now_ms: i64) -> i64 {
        first_day_of_month(now_ms)
    }

    /// Makes the state from the tables.
    pub(crate) fn load(
        rows: RelayRows,
        config: CostConfig,
        bounds: SessionConfig,
        sent: SentBytes,
    ) -> Self {
        let mut traffic = DailyTraffic::default();
        traffic.extend(&rows.traffic);
        let mut sessions = Sessions::new(bounds);
        for session in rows.sessions {
            sessions.put(session);
        }
        Self {
            config,
            bounds,
            sessions,
            traffic,
            tiers: rows.tiers.into_iter().collect(),
            state: rows.state,
            // The first update counts the traffic of live sessions before today, which may be more
            // than the tables contain.
            today: i64::MIN,
            is_day_open: false,
            counted_day: None,
            sent: SentProgress::new(sent),
            unsaved: Unsaved::default(),
            updated_ms: i64::MIN,
        }
    }

    /// Continues the count of sent bytes from `before`, the state before the tables were read again,
    /// because the tables do not contain all sent bytes.
    pub(crate) fn follow(mut self, before: &Self) -> Self {
        self.sent.resume(&before.sent);
        self
    }

    /// The whole state as rows, except for sent bytes that no transaction has written:
    /// [`follow`](Self::follow) counts those again.
    pub(crate) fn rows(&self) -> RelayRows {
        let mut traffic = self.traffic.clone();
        traffic.add_http(self.today, -self.sent.unsaved());
        RelayRows {
            sessions: self.sessions.all().cloned().collect(),
            traffic: traffic.into_rows(),
            tiers: self.tiers.clone().into_iter().collect(),
            state: self.state,
        }
    }

    /// Updates the state to `now_ms`: ends sessions, begins days, counts sent bytes, and computes
    /// the mode from the cost. Returns the servers with a new load, and the previous mode if it has
    /// changed.
    pub(crate) fn advance(&mut self, now_ms: i64) -> (Vec<PeerId>, Option<CostMode>) {
        // Many reads arrive in the same millisecond, and a second update would change nothing.
        if std::mem::replace(&mut self.updated_ms, now_ms) == now_ms {
            return (Vec::new(), None);
        }
        let today = day_of(now_ms);
        // Sessions end before the day begins, because the start of a day counts all live sessions.
        let mut relieved = Vec::new();
        for mut session in self.sessions.ending(now_ms, MAX_SESSIONS_AT_ONCE) {
            let end_ms = session.expires_at_ms;
            relieved.push(session.server_id.clone());
            self.count_until(&mut session, end_ms);
        }
        if relieved.len() < MAX_SESSIONS_AT_ONCE {
            self.begin_day(today);
        }
        if relieved.len() == MAX_SESSIONS_AT_ONCE || self.is_day_open {
            // The next update does the rest, even within the same millisecond.
            self.updated_ms = i64::MIN;
        }
        self.count_sent(today);
        (relieved, self.follow_cost(now_ms))
    }

    fn count_sent(&mut self, today: i64) {
        let bytes = self.sent.count();
        self.traffic.add_http(today, bytes);
        self.unsaved.traffic.add_http(today, bytes);
    }

    /// Counts the traffic of live sessions on the days before today, so that each month gets its
    /// own part. Only this step looks at all sessions: once a day, and a limited number at a time.
    fn begin_day(&mut self, today: i64) {
        let midnight_ms = today * cost::DAY_MS;
        if today > self.today {
            self.today = today;
            self.traffic.drop_before(first_day_of_month(midnight_ms));
            (self.is_day_open, self.counted_day) = (true, None);
        }
        if !self.is_day_open {
            return;
        }
        let place = self.counted_day.as_ref();
        let (sessions, next) = self.sessions.live_after(place, MAX_SESSIONS_AT_ONCE);
        for mut session in sessions {
            if session.booked_until_ms < midnight_ms {
                self.count_until(&mut session, midnight_ms);
            }
        }
        self.is_day_open = next.is_some();
        self.counted_day = next;
    }

    /// The time of the last update, in Unix milliseconds.
    pub(crate) fn updated_ms(&self) -> i64 {
        self.updated_ms
    }

    /// Ends the sessions on servers that are not registered any more, for example because a start
    /// removed expired ones.
    pub(crate) fn end_on_missing(&mut self, now_ms: i64, is_there: impl Fn(&PeerId) -> bool) {
        let servers = self.sessions.loads();
        let missing = servers.filter(|(server_id, _)| !is_there(server_id));
        let missing: Vec<_> = missing.map(|(server_id, _)| server_id.clone()).collect();
        for server_id in missing {
            let sessions = self.sessions.on_server(server_id.as_str());
            for mut session in sessions.cloned().collect::<Vec<_>>() {
                session.expires_at_ms = session.expires_at_ms.min(now_ms);
                let end_ms = session.expires_at_ms;
                self.count_until(&mut session, end_ms);
            }
        }
    }

    /// Memory of all sessions, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.sessions.bytes()
    }

    /// Adds the traffic of a session until `until_ms` to the daily traffic.
    fn count_until(&mut self, session: &mut TurnSession, until_ms: i64) {
        let mut traffic = DailyTraffic::default();
        traffic.add_session(session, until_ms);
        let rows = traffic.into_rows();
        self.traffic.extend(&rows);
        self.unsaved.traffic.extend(&rows);
        let id = Arc::clone(&session.session_id);
        self.unsaved.sessions.insert(id, session.clone());
        self.sessions.put(session.clone());
    }

    fn follow_cost(&mut self, now_ms: i64) -> Option<CostMode> {
        let before = self.state.mode;
        let ratio = self.forecast(now_ms).ratio;
        let mode = cost::next_mode(before, ratio, &self.config.thresholds);
        // A new database has no time for its first mode.
        if self.state.mode_since_ms == 0 || mode != before {
            self.state.mode = mode;
            self.state.mode_since_ms = now_ms;
            self.unsaved.state = true;
        }
        (mode != before).then_some(before)
    }

    /// The cost of the month until `now_ms`, and the forecast for all of it.
    fn forecast(&self, now_ms: i64) -> Forecast {
        let metered = cost::metered(&self.config, now_ms, self.bytes_of_month(now_ms));
        let spend = cost::spend(metered, self.state.bill, now_ms);
        cost::forecast(&self.config, spend, now_ms)
    }

    fn bytes_of_month(&self, now_ms: i64) -> i64 {
        let first = first_day_of_month(now_ms);
        let booked = self.traffic.bytes_between(first, i64::MAX);
        booked.saturating_add(self.sessions.unbooked_bytes(now_ms))
    }

    /// The metered cost of the month until `time_ms`, in US dollars. Traffic within a day is
    /// assumed to be even.
    pub(crate) fn metered_usd_at(&self, time_ms: i64, now_ms: i64) -> f64 {
        let (first, day) = (first_day_of_month(now_ms), day_of(time_ms));
        let before = self.traffic.bytes_between(first, day);
        let mut of_day = self.traffic.bytes_between(day, day + 1);
        let mut day_ms = cost::DAY_MS;
        if day == day_of(now_ms) {
            of_day = of_day.saturating_add(self.sessions.unbooked_bytes(now_ms));
            day_ms = (now_ms - day * cost::DAY_MS).max(1);
        }
        let share = (time_ms - day * cost::DAY_MS) as f64 / day_ms as f64;
        let bytes = before.saturating_add((of_day as f64 * share) as i64);
        cost::metered(&self.config, time_ms, bytes).total_usd()
    }

    /// The mode in force at `now_ms`: the forced one if there is one, otherwise the budget's.
    pub(crate) fn mode(&self, now_ms: i64) -> CostMode {
        self.state.mode_at(&self.config, now_ms)
    }

    /// The cost of the month and the mode that follows from it.
    pub(crate) fn status(&self, now_ms: i64) -> CostStatus {
        let month = Month::of(now_ms);
        CostStatus {
            forecast: self.forecast(now_ms),
            mode: self.mode(now_ms),
            budget_mode: self.state.mode,
            budget_mode_since_ms: self.state.mode_since_ms,
            forced: self.state.forced_at(self.config.mode_override, now_ms),
            bill: self.state.bill.filter(|bill| month.holds(bill.as_of_ms)),
            sessions_by_tier: self.sessions.totals().by_tier,
        }
    }

    /// Returns the changes that time has made, for a transaction to write.
    pub(crate) fn take_unsaved(&mut self, now_ms: i64) -> RelayChanges {
        // The last transaction of the process is the last chance to count the latest responses.
        self.count_sent(day_of(now_ms));
        let unsaved = std::mem::take(&mut self.unsaved);
        self.sent.begin_save();
        let before_ms = now_ms - REPORT_GRACE_MS;
        RelayChanges {
            sessions: unsaved.sessions.into_values().collect(),
            forgotten: self.sessions.forgettable(before_ms, MAX_SESSIONS_AT_ONCE),
            traffic: unsaved.traffic.into_rows(),
            tiers: Vec::new(),
            state: unsaved.state.then_some(self.state),
        }
    }

    /// Takes the changes back from a transaction that has failed.
    pub(crate) fn put_back(&mut self, unsaved: &RelayChanges) {
        for session in &unsaved.sessions {
            let id = Arc::clone(&session.session_id);
            // A session that has changed since then is newer than the one that comes back.
            self.unsaved.sessions.entry(id).or_insert(session.clone());
        }
        self.unsaved.traffic.extend(&unsaved.traffic);
        self.unsaved.state |= unsaved.state.is_some();
    }

    /// Applies a committed transaction. The changes that time had made before it are in memory
    /// already.
    pub(crate) fn apply(&mut self, changes: &RelayChanges, update: &RelayUpdate) {
        self.sent.end_save();
        for session in &changes.sessions {
            self.sessions.put(session.clone());
        }
        // In this order, as in the transaction: a session that ended while the registry was not
        // running is stored and forgotten by the same transaction.
        self.sessions.forget(&changes.forgotten);
        self.traffic.extend(&update.traffic);
        for (peer_id, tier) in &changes.tiers {
            self.tiers.insert(peer_id.clone(), *tier);
        }
        if let Some(state) = changes.state {
            self.state = state;
        }
        // The cost may have changed within this millisecond, so the next update must not be
        // skipped.
        self.updated_ms = i64::MIN;
    }
}
