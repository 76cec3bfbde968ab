//! The registry's view of what it has granted and of what that costs.
//!
//! Changed by commits, and by time: sessions end, days begin, and the mode follows the cost. What
//! time changes is written by the next transaction that writes anything of the kind; until then it
//! would come out the same again, were the tables read anew.

mod draft;
mod drafted;
mod ledger;
mod sessions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::{CostMode, ModeOverride, PeerId, Tier};
use crate::server::config::{CostConfig, SessionConfig};
use crate::server::model::TurnSession;
use crate::server::policy::cost::{self, Bill, CostState, Forecast, Month};
use crate::server::storage::{RelayChanges, RelayRows};

use ledger::{Bookings, day_of, first_day_of_month};
use sessions::{End, Sessions};

pub(super) use sessions::SESSION_BYTES;

pub use draft::Granted;
pub(super) use draft::{Allocated, Draft};
pub(super) use drafted::{Drafted, Planned};

/// How long an ended session is remembered, for a TURN server that reports late.
const REPORT_GRACE_MS: i64 = 3_600_000;

/// Sessions that are settled, or forgotten, at a time: more would hold up whoever waits.
const MAX_SETTLED: usize = 2_000;

/// Bytes that the HTTP server has sent since it started; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SentBytes(Arc<AtomicU64>);

impl SentBytes {
    /// Counts some more.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}

/// What was granted, what it costs, and what operators have said.
#[derive(Debug)]
pub(super) struct Relay {
    config: CostConfig,
    bounds: SessionConfig,
    sessions: Sessions,
    books: Bookings,
    tiers: HashMap<PeerId, Tier>,
    state: CostState,
    today: i64,
    /// Whether what sessions relayed before today is still to be booked, and behind which of them.
    is_day_open: bool,
    booked_day: Option<End>,
    sent: SentBytes,
    /// How many of them are in the books, in a transaction under way, and on disk.
    sent_booked: i64,
    sent_saving: i64,
    sent_saved: i64,
    unsaved: Unsaved,
    /// Up to which moment time has passed.
    passed_ms: i64,
}

/// What time has changed and no transaction has written.
#[derive(Debug, Default)]
struct Unsaved {
    sessions: BTreeMap<Arc<str>, TurnSession>,
    books: Bookings,
    state: bool,
}

/// What the month costs and how tight that makes the registry.
#[derive(Clone, Debug)]
pub struct CostStatus {
    /// What the month has cost and will have cost.
    pub forecast: Forecast,
    /// The mode that holds.
    pub mode: CostMode,
    /// The mode that the budget asks for.
    pub budget_mode: CostMode,
    /// Since when it does, in Unix milliseconds.
    pub budget_mode_since_ms: i64,
    /// The override, if one holds.
    pub forced: Option<ModeOverride>,
    /// The bill of this month, if one was fed in.
    pub bill: Option<Bill>,
    /// Live sessions of each tier.
    pub sessions_by_tier: [u32; 4],
}

impl CostStatus {
    /// Live sessions of all tiers.
    pub fn sessions(&self) -> u64 {
        self.sessions_by_tier
            .iter()
            .map(|count| u64::from(*count))
            .sum()
    }
}

impl Relay {
    /// The first day whose traffic must be known at `now_ms`, counted from 1970-01-01.
    pub(super) fn first_day(now_ms: i64) -> i64 {
        first_day_of_month(now_ms)
    }

    /// Takes up what is in the tables.
    pub(super) fn load(
        rows: RelayRows,
        config: CostConfig,
        bounds: SessionConfig,
        sent: SentBytes,
    ) -> Self {
        let mut books = Bookings::default();
        books.extend(&rows.traffic);
        let mut sessions = Sessions::new(bounds);
        for session in rows.sessions {
            sessions.put(session);
        }
        Self {
            config,
            bounds,
            sessions,
            books,
            tiers: rows.tiers.into_iter().collect(),
            state: rows.state,
            // The first look books what live sessions had relayed before today, which may be more
            // than the tables say.
            today: i64::MIN,
            is_day_open: false,
            booked_day: None,
            sent_booked: 0,
            sent_saving: 0,
            sent_saved: 0,
            sent,
            unsaved: Unsaved::default(),
            passed_ms: i64::MIN,
        }
    }

    /// Carries over what the tables could not know when they were read anew: bytes sent.
    pub(super) fn follow(mut self, before: &Self) -> Self {
        self.sent_saved = before.sent_saved;
        self.sent_booked = before.sent_saved;
        self
    }

    /// All of it as rows, but for bytes sent that no transaction has written: those
    /// [`follow`](Self::follow) carries over.
    pub(super) fn rows(&self) -> RelayRows {
        let mut books = self.books.clone();
        books.add_http(self.today, self.sent_saved - self.sent_booked);
        RelayRows {
            sessions: self.sessions.all().cloned().collect(),
            traffic: books.into_rows(),
            tiers: self.tiers.clone().into_iter().collect(),
            state: self.state,
        }
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Lets time pass: ends sessions, begins days, counts bytes sent, and follows the cost with
    /// the mode. Returns the servers whose load has changed, and the mode before if it has.
    pub(super) fn advance(&mut self, now_ms: i64) -> (Vec<PeerId>, Option<CostMode>) {
        // Reads come by the dozen in a millisecond.
        if std::mem::replace(&mut self.passed_ms, now_ms) == now_ms {
            return (Vec::new(), None);
        }
        let today = day_of(now_ms);
        // Before the day begins, which looks at those that are still live.
        let mut relieved = Vec::new();
        for mut session in self.sessions.ending(now_ms, MAX_SETTLED) {
            let end_ms = session.expires_at_ms;
            relieved.push(session.server_id.clone());
            self.settle(&mut session, end_ms);
        }
        if relieved.len() < MAX_SETTLED {
            self.begin_day(today);
        }
        if relieved.len() == MAX_SETTLED || self.is_day_open {
            // The rest is for the next look.
            self.passed_ms = i64::MIN;
        }
        self.count_sent(today);
        (relieved, self.follow_cost(now_ms))
    }

    fn count_sent(&mut self, today: i64) {
        let sent = self.sent.get();
        self.books.add_http(today, sent - self.sent_booked);
        self.unsaved.books.add_http(today, sent - self.sent_booked);
        self.sent_booked = sent;
    }

    /// Books what live sessions have relayed until now on the days before, so that each month
    /// has its own. The one thing that looks at all sessions, once a day and some at a time.
    fn begin_day(&mut self, today: i64) {
        let midnight_ms = today * cost::DAY_MS;
        if today > self.today {
            self.today = today;
            self.books.drop_before(first_day_of_month(midnight_ms));
            (self.is_day_open, self.booked_day) = (true, None);
        }
        if !self.is_day_open {
            return;
        }
        let place = self.booked_day.as_ref();
        let (sessions, next) = self.sessions.live_after(place, MAX_SETTLED);
        for mut session in sessions {
            if session.booked_until_ms < midnight_ms {
                self.settle(&mut session, midnight_ms);
            }
        }
        self.is_day_open = next.is_some();
        self.booked_day = next;
    }

    /// Up to which moment time has passed, in Unix milliseconds.
    pub(super) fn passed_ms(&self) -> i64 {
        self.passed_ms
    }

    /// Ends the sessions on servers that are not there any more: a start removes who has run out.
    pub(super) fn end_on_missing(&mut self, now_ms: i64, is_there: impl Fn(&PeerId) -> bool) {
        let servers = self.sessions.loads();
        let missing = servers.filter(|(server_id, _)| !is_there(server_id));
        let missing: Vec<_> = missing.map(|(server_id, _)| server_id.clone()).collect();
        for server_id in missing {
            let sessions = self.sessions.on_server(server_id.as_str());
            for mut session in sessions.cloned().collect::<Vec<_>>() {
                session.expires_at_ms = session.expires_at_ms.min(now_ms);
                let end_ms = session.expires_at_ms;
                self.settle(&mut session, end_ms);
            }
        }
    }

    /// Memory of all sessions, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.sessions.bytes()
    }

    fn settle(&mut self, session: &mut TurnSession, until_ms: i64) {
        let mut bookings = Bookings::default();
        bookings.book(session, until_ms);
        let rows = bookings.into_rows();
        self.books.extend(&rows);
        self.unsaved.books.extend(&rows);
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
        let booked = self.books.bytes_between(first, i64::MAX);
        booked.saturating_add(self.sessions.unbooked_bytes(now_ms))
    }

    /// What had been metered of the month by `moment_ms`, in US dollars. Within a day traffic
    /// counts as even.
    fn metered_usd_at(&self, moment_ms: i64, now_ms: i64) -> f64 {
        let (first, day) = (first_day_of_month(now_ms), day_of(moment_ms));
        let before = self.books.bytes_between(first, day);
        let mut of_day = self.books.bytes_between(day, day + 1);
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
    pub(super) fn mode(&self, now_ms: i64) -> CostMode {
        self.state.mode_at(&self.config, now_ms)
    }

    /// What the month costs and how tight that makes the registry.
    pub(super) fn status(&self, now_ms: i64) -> CostStatus {
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
    pub(super) fn take_unsaved(&mut self, now_ms: i64) -> RelayChanges {
        // The last transaction of a process has no other chance to count the last answers.
        self.count_sent(day_of(now_ms));
        let unsaved = std::mem::take(&mut self.unsaved);
        self.sent_saving = self.sent_booked;
        let before_ms = now_ms - REPORT_GRACE_MS;
        RelayChanges {
            sessions: unsaved.sessions.into_values().collect(),
            forgotten: self.sessions.forgettable(before_ms, MAX_SETTLED),
            traffic: unsaved.books.into_rows(),
            tiers: Vec::new(),
            state: unsaved.state.then_some(self.state),
        }
    }

    /// What was handed over to be written was not written.
    pub(super) fn put_back(&mut self, unsaved: &RelayChanges) {
        for session in &unsaved.sessions {
            let id = Arc::clone(&session.session_id);
            self.unsaved.sessions.entry(id).or_insert(session.clone());
        }
        self.unsaved.books.extend(&unsaved.traffic);
        self.unsaved.state |= unsaved.state.is_some();
    }

    /// Follows a transaction: what time had changed before it is known here already.
    pub(super) fn apply(&mut self, changes: &RelayChanges, planned: &Planned) {
        self.sent_saved = self.sent_saving;
        for session in &changes.sessions {
            self.sessions.put(session.clone());
        }
        // After that, as in the transaction: what ended while the registry was down is put and
        // forgotten in one.
        self.sessions.forget(&changes.forgotten);
        self.books.extend(&planned.traffic);
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
