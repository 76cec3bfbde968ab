//! What the registry knows, in memory: the committed rows and how the registry itself stands.
//!
//! Changed by commits, and by time. Many read it at once, on the threads that ask; the actor and,
//! where time has passed, a reader change it for a moment.

use crate::clock;
use crate::protocol::{CostMode, PeerId};
use crate::server::config::LeaseConfig;
use crate::server::model::Outage;
use crate::server::policy::lease;
use crate::server::storage::{DataVersion, Memory};

use super::batch::{Batch, BatchContext, Plan};
use super::counters::Counters;
use super::directory::Directory;
use super::relay::{CostStatus, Relay, RelayPlan};

/// The work of ceasing to list peers that is done at a time, in changes of sets of peers: a few
/// milliseconds. Whatever else waits is handled in between.
pub(crate) const EXPIRE_WEIGHT: usize = 4096;

/// A commit that takes longer, in milliseconds, is an outage: nobody could renew.
const SLOW_COMMIT_MS: i64 = 2_000;

/// What the process may take beside peers and sessions before no new ones are taken, in bytes.
const OVERHEAD_BYTES: usize = 112 << 20;

/// How much time may pass before a reader brings sessions and spend up to date, in milliseconds.
const RELAY_LAG_MS: i64 = 100;

/// Whether the database takes writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    /// It does, and the directory equals the table at this version.
    Works(DataVersion),
    /// It has not since this moment, in Unix milliseconds. Nobody can renew, so leases stand still.
    Fails { since_ms: i64 },
}

/// What is known of a database that was changed from outside, or that works again.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Everything about relaying.
    pub relay: Relay,
    /// How many rows are in `peers_quarantine`.
    pub quarantined: u64,
    pub max_row_id: i64,
    pub version: DataVersion,
    /// The outage that is over.
    pub credited: Option<Outage>,
}

/// When something was seen to happen: on the clock that leases follow, and on the machine's. The
/// two differ in tests alone, whose clock makes leaps that are no standstill.
#[derive(Clone, Copy, Debug)]
struct Sign {
    now_ms: i64,
    machine_ms: i64,
}

impl Sign {
    fn given_at(now_ms: i64) -> Self {
        Self {
            now_ms,
            machine_ms: clock::machine_ms(),
        }
    }

    /// The time since then on the machine's clock, in milliseconds.
    fn age_ms(self) -> i64 {
        clock::machine_ms() - self.machine_ms
    }

    /// The time between the sign and now, as an outage.
    fn outage_until(self, now_ms: i64) -> Outage {
        Outage {
            from_ms: self.now_ms.max(now_ms.saturating_sub(self.age_ms())),
            until_ms: now_ms,
        }
    }
}

/// The tables as they are in memory, and how the registry stands.
#[derive(Debug)]
pub(crate) struct State {
    pub directory: Directory,
    pub relay: Relay,
    pub counters: Counters,
    pub storage: Storage,
    /// How many rows of the database were set aside, as they cannot be read.
    pub quarantined: u64,
    /// Resident memory before any peer was in memory, in bytes.
    resident_bytes_before: usize,
    /// Whether resident memory has grown by much more than the peers account for: by pieces that
    /// peers have freed and that are too small for others, for example.
    is_swollen: bool,
    pub started_ms: i64,
    lease: LeaseConfig,
    /// In order of time, and disjoint.
    outages: Vec<Outage>,
    /// Those of them that are not on disk.
    unsaved_outages: Vec<Outage>,
    /// When the transaction under way began.
    write_begun: Option<Sign>,
    sign_of_life: Sign,
    /// The mode before the last change that was not logged.
    mode_before: Option<CostMode>,
    /// Outages that the process lived through and that were not logged.
    unlogged_outages: Vec<Outage>,
}

/// What has happened since the log was told last.
#[derive(Debug)]
pub(crate) struct News {
    /// The mode before the last change, and what the month costs now.
    pub mode: Option<(CostMode, CostStatus)>,
    pub credited: Vec<Outage>,
}

impl State {
    pub(crate) fn new(
        directory: Directory,
        relay: Relay,
        storage: Storage,
        lease: LeaseConfig,
        outages: Vec<Outage>,
        resident_bytes_before: usize,
        now_ms: i64,
    ) -> Self {
        Self {
            directory,
            relay,
            counters: Counters::default(),
            storage,
            quarantined: 0,
            resident_bytes_before,
            is_swollen: false,
            started_ms: now_ms,
            lease,
            outages,
            unsaved_outages: Vec::new(),
            write_begun: None,
            sign_of_life: Sign::given_at(now_ms),
            mode_before: None,
            unlogged_outages: Vec::new(),
        }
    }

    /// Whether everything that time changes has been changed, as far as a listing shows it.
    pub(crate) fn is_current(&self, now_ms: i64) -> bool {
        !self.is_overdue() && !self.directory.lists_expired(self.cutoff_ms(now_ms))
    }

    /// Whether sessions and spend are as they were some time ago.
    pub(crate) fn is_relay_stale(&self, now_ms: i64) -> bool {
        // What a transaction was planned on must stay.
        self.write_begun.is_none()
            && !(0..RELAY_LAG_MS).contains(&now_ms.saturating_sub(self.relay.passed_ms()))
    }

    /// Whether sessions and spend are as they were some time ago because a transaction is under way.
    pub(crate) fn is_relay_held_back(&self, now_ms: i64) -> bool {
        self.write_begun.is_some() && now_ms.saturating_sub(self.relay.passed_ms()) > RELAY_LAG_MS
    }

    /// Lets time pass up to now: credits a time in which the process stood still, ceases to list
    /// some of the peers that have run out, ends sessions and follows the cost with the mode.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        self.notice_gap(now_ms);
        self.directory.expire(self.cutoff_ms(now_ms), EXPIRE_WEIGHT);
        if self.write_begun.is_none() {
            self.advance_relay(now_ms);
        }
    }

    fn advance_relay(&mut self, now_ms: i64) {
        let (servers, mode_before) = self.relay.advance(now_ms);
        self.follow_loads(&servers);
        self.mode_before = self.mode_before.or(mode_before);
    }

    /// Makes the directory list `servers` with the sessions they carry now.
    fn follow_loads(&mut self, servers: &[PeerId]) {
        for server_id in servers {
            let load = self.relay.sessions.load(server_id.as_str());
            self.directory.set_load(server_id, load);
        }
    }

    /// What has happened since this was asked last.
    pub(crate) fn take_news(&mut self, now_ms: i64) -> News {
        let before = self.mode_before.take();
        News {
            mode: before.map(|before| (before, self.relay.status(now_ms))),
            credited: std::mem::take(&mut self.unlogged_outages),
        }
    }

    /// The moment before which a peer must have been last seen to have expired.
    pub(crate) fn cutoff_ms(&self, now_ms: i64) -> i64 {
        let as_of_ms = match (self.storage, self.write_begun) {
            (Storage::Fails { since_ms }, _) => since_ms,
            (_, Some(begun)) if begun.age_ms() > SLOW_COMMIT_MS => {
                begun.outage_until(now_ms).from_ms
            }
            _ => now_ms,
        };
        lease::cutoff_ms(as_of_ms, self.lease.peer_timeout_ms(), &self.outages)
    }

    /// What a batch is planned with now.
    pub(crate) fn batch_context(&self, now_ms: i64, cleans_up: bool) -> BatchContext {
        BatchContext {
            now_ms,
            cutoff_ms: self.cutoff_ms(now_ms),
            max_peers: self.lease.max_peers,
            max_bytes: self.lease.max_memory_bytes,
            is_swollen: self.is_swollen,
            cleans_up,
        }
    }

    /// When a lease that is renewed at `last_seen_ms` runs out, in Unix milliseconds.
    pub(crate) fn expires_at_ms(&self, last_seen_ms: i64) -> i64 {
        lease::expires_at_ms(last_seen_ms, self.lease.peer_timeout_ms())
    }

    /// A transaction begins, for which time must not change what it was planned on.
    pub(crate) fn begin_write(&mut self, now_ms: i64) {
        self.write_begun = Some(Sign::given_at(now_ms));
    }

    /// The transaction under way has ended. One that took long was an outage.
    pub(crate) fn end_write(&mut self, is_committed: bool, now_ms: i64) {
        if let Some(begun) = self.write_begun.take()
            && is_committed
            && begun.age_ms() > SLOW_COMMIT_MS
        {
            self.credit(begun.outage_until(now_ms));
        }
    }

    /// What is known beside the peers, to be written where its tables are lost.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            outages: self.outages.clone(),
            relay: self.relay.rows(),
        }
    }

    /// Adds to a planned batch what time has changed, as far as it writes anything of the kind.
    pub(crate) fn add_passed_time(&mut self, batch: &mut Batch, relay_plan: RelayPlan) {
        batch.add_passed_time(relay_plan, &mut self.relay, &self.unsaved_outages);
    }

    /// Follows a transaction that is on disk.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let changes = &plan.changes;
        if let Some(cleanup) = &changes.cleanup {
            self.directory
                .remove_expired(cleanup.before, &cleanup.spared);
            self.counters.cleanups += 1;
            self.counters.peers_cleaned += cleanup.expected as u64;
            self.counters.last_cleanup_ms = Some(changes.now_ms);
        }
        for row in &changes.registrations {
            self.directory.put(row);
        }
        for offered in &changes.turn_offers {
            self.directory
                .offer_turn(offered.peer_id.as_str(), &offered.offer);
        }
        for peer in &plan.renewed {
            self.directory.renew(peer, changes.now_ms);
        }
        if let Some(update) = &plan.relay {
            self.relay.apply(&changes.relay, update);
            self.follow_loads(&update.servers);
            // A bill or a report may ask for another mode, which the responses must tell.
            self.advance_relay(changes.now_ms);
        }
        self.unsaved_outages.drain(..changes.outages.len());
    }

    /// Goes on with a database that was changed from outside, or that works again. Its peers are to
    /// be compared with the directory.
    pub(crate) fn begin_resync(&mut self, changed: Changed, now_ms: i64, begins_sweep: bool) {
        let Changed {
            relay,
            quarantined,
            max_row_id,
            version,
            credited,
        } = changed;
        self.quarantined = quarantined;
        if let Some(outage) = credited {
            self.add_outage(outage, now_ms);
        }
        self.relay = relay.follow(&self.relay);
        self.directory.set_loads(self.relay.sessions.loads());
        if begins_sweep {
            self.directory.begin_sweep(max_row_id);
        } else {
            self.directory.skip_rows(max_row_id);
        }
        self.storage = Storage::Works(version);
        let cutoff_ms = self.cutoff_ms(now_ms);
        self.outages
            .retain(|outage| !lease::is_spent(outage, cutoff_ms));
    }

    /// Whether the last sign of life is too long ago.
    fn is_overdue(&self) -> bool {
        self.sign_of_life.age_ms() > self.lease.max_gap_ms()
    }

    /// Credits a time in which the process stood still. The actor gives a sign of life twice a
    /// second; one that is long overdue means that nobody could be heard meanwhile: the process was
    /// stopped, its container frozen, or its thread held up.
    fn notice_gap(&mut self, now_ms: i64) {
        if self.is_overdue() {
            let outage = self.sign_of_life.outage_until(now_ms);
            self.sign_of_life = Sign::given_at(now_ms);
            // A database that fails is an outage from its first failure on.
            if let Storage::Works(_) = self.storage {
                self.credit(outage);
            }
        }
    }

    /// Compares the resident memory of the process with the budget.
    pub(crate) fn weigh(&mut self, resident_bytes: usize) {
        let grown_bytes = resident_bytes.saturating_sub(self.resident_bytes_before);
        self.is_swollen = grown_bytes > self.lease.max_memory_bytes + OVERHEAD_BYTES;
    }

    /// The actor works.
    pub(crate) fn give_sign_of_life(&mut self, now_ms: i64) {
        self.notice_gap(now_ms);
        self.sign_of_life = Sign::given_at(now_ms);
    }

    /// Credits the time that it took to read the tables, in which nobody was heard, if it was long.
    pub(crate) fn credit_load(&mut self, now_ms: i64) {
        if now_ms - self.started_ms > SLOW_COMMIT_MS {
            self.credit(Outage {
                from_ms: self.started_ms,
                until_ms: now_ms,
            });
        }
    }

    /// Ends the sessions on servers that are not there any more.
    pub(crate) fn end_sessions_on_missing(&mut self, now_ms: i64) {
        let Self {
            directory, relay, ..
        } = self;
        relay.end_on_missing(now_ms, |server_id| directory.is_turn_server(server_id));
        directory.set_loads(relay.sessions.loads());
    }

    fn add_outage(&mut self, outage: Outage, now_ms: i64) {
        self.outages.push(outage);
        self.outages = lease::disjoint(std::mem::take(&mut self.outages), now_ms);
    }

    fn credit(&mut self, outage: Outage) {
        if outage.from_ms < outage.until_ms {
            self.counters.outage_credit_ms += (outage.until_ms - outage.from_ms) as u64;
            self.add_outage(outage, outage.until_ms);
            self.unsaved_outages.push(outage);
            self.unlogged_outages.push(outage);
        }
    }
}
