//! The registry's view of what it has granted and of what that costs.
//!
//! Changed by commits, and by time: sessions end, days begin, and the mode follows the cost. What
//! time changes is written by the next transaction that writes anything of the kind; until then it
//! would come out the same again, were the tables read anew.

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

/// How long an ended session is remembered, for a TURN server that reports late.
pub(crate) const REPORT_GRACE_MS: i64 = 3_600_000;

/// The maximum of sessions that are ended, or forgotten, at a time: more would hold up everyone.
const MAX_SESSIONS_AT_ONCE: usize = 2_000;

/// What was granted, what it costs, and what operators have said.
#[derive(Debug)]
pub(crate) struct Relay {
    pub config: CostConfig,
    pub bounds: SessionConfig,
    pub sessions: Sessions,
    traffic: DailyTraffic,
    pub tiers: HashMap<PeerId, Tier>,
    pub state: CostState,
    today: i64,
    /// Whether what sessions relayed before today is still to be counted, and behind which of them.
    is_day_open: bool,
    counted_day: Option<End>,
    sent: SentProgress,
    unsaved: Unsaved,
    /// Up to which moment time has passed.
    passed_ms: i64,
}

/// What time has changed and no transaction has written.
#[derive(Debug, Default)]
struct Unsaved {
    sessions: BTreeMap<Arc<str>, TurnSession>,
    traffic: DailyTraffic,
    state: bool,
}

impl Relay {
    /// The first day whose traffic must be known at `now_ms`, counted from 1970-01-01.
    pub(crate) fn first_day(now_ms: i64) -> i64 {
        first_day_of_month(now_ms)
    }

    /// Begins with what is in the tables.
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
            // The first look counts what live sessions had relayed before today, which may be more
            // than the tables say.
            today: i64::MIN,
            is_day_open: false,
            counted_day: None,
            sent: SentProgress::new(sent),
            unsaved: Unsaved::default(),
            passed_ms: i64::MIN,
        }
    }

    /// Carries over what the tables could not know when they were read anew: bytes sent.
    pub(crate) fn follow(mut self, before: &Self) -> Self {
        self.sent.resume(&before.sent);
        self
    }

    /// All of it as rows, but for bytes sent that no transaction has written: those
    /// [`follow`](Self::follow) carries over.
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

    /// Lets time pass: ends sessions, begins days, counts bytes sent, and follows the cost with
    /// the mode. Returns the servers whose load has changed, and the mode before if it has.
    pub(crate) fn advance(&mut self, now_ms: i64) -> (Vec<PeerId>, Option<CostMode>) {
        // Reads come by the dozen in a millisecond.
        if std::mem::replace(&mut self.passed_ms, now_ms) == now_ms {
            return (Vec::new(), None);
        }
        let today = day_of(now_ms);
        // Before the day begins, which looks at those that are still live.
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
            // The rest is for the next look.
            self.passed_ms = i64::MIN;
        }
        self.count_sent(today);
        (relieved, self.follow_cost(now_ms))
    }

    fn count_sent(&mut self, today: i64) {
        let bytes = self.sent.count();
        self.traffic.add_http(today, bytes);
        self.unsaved.traffic.add_http(today, bytes);
    }

    /// Counts what live sessions have relayed until now on the days before, so that each month
    /// has its own. The one thing that looks at all sessions, once a day and some at a time.
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

    /// Up to which moment time has passed, in Unix milliseconds.
    pub(crate) fn passed_ms(&self) -> i64 {
        self.passed_ms
    }

    /// Ends the sessions on servers that are not there any more: a start removes who has run out.
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

    /// Adds to the days what a session has relayed by `until_ms`.
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
        if self.state.mode_since_ms == 0 || mode != before {
            self.state.mode = mode;
            self.state.mode_since_ms = now_ms;
            self.unsaved.state = true;
        }
        (mode != before).then_some(before)
    }

    /// What the month has cost by `now_ms` and will have cost.
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

    /// What had been metered of the month by `moment_ms`, in US dollars. Within a day traffic
    /// counts as even.
    pub(crate) fn metered_usd_at(&self, moment_ms: i64, now_ms: i64) -> f64 {
        let (first, day) = (first_day_of_month(now_ms), day_of(moment_ms));
        let before = self.traffic.bytes_between(first, day);
        let mut of_day = self.traffic.bytes_between(day, day + 1);
        let mut day_ms = cost::DAY_MS;
        if day == day_of(now_ms) {
            of_day = of_day.saturating_add(self.sessions.unbooked_bytes(now_ms));
            day_ms = (now_ms - day * cost::DAY_MS).max(1);
        }
        let share = (moment_ms - day * cost::DAY_MS) as f64 / day_ms as f64;
        let bytes = before.saturating_add((of_day as f64 * share) as i64);
        cost::metered(&self.config, moment_ms, bytes).total_usd()
    }

    /// The mode that holds at `now_ms`: the operator's, or else the budget's.
    pub(crate) fn mode(&self, now_ms: i64) -> CostMode {
        self.state.mode_at(&self.config, now_ms)
    }

    /// What the month costs and how tight that makes the registry.
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

    /// Hands over what time has changed, to be written.
    pub(crate) fn take_unsaved(&mut self, now_ms: i64) -> RelayChanges {
        // The last transaction of a process has no other chance to count the last answers.
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

    /// What was handed over to be written was not written.
    pub(crate) fn put_back(&mut self, unsaved: &RelayChanges) {
        for session in &unsaved.sessions {
            let id = Arc::clone(&session.session_id);
            self.unsaved.sessions.entry(id).or_insert(session.clone());
        }
        self.unsaved.traffic.extend(&unsaved.traffic);
        self.unsaved.state |= unsaved.state.is_some();
    }

    /// Follows a transaction: what time had changed before it is known here already.
    pub(crate) fn apply(&mut self, changes: &RelayChanges, update: &RelayUpdate) {
        self.sent.end_save();
        for session in &changes.sessions {
            self.sessions.put(session.clone());
        }
        // After that, as in the transaction: what ended while the registry was down is put and
        // forgotten in one.
        self.sessions.forget(&changes.forgotten);
        self.traffic.extend(&update.traffic);
        for (peer_id, tier) in &changes.tiers {
            self.tiers.insert(peer_id.clone(), *tier);
        }
        if let Some(state) = changes.state {
            self.state = state;
        }
        // What it costs has changed within the millisecond.
        self.passed_ms = i64::MIN;
    }
}
