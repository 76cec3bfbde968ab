//! The state of the registry in memory: the committed rows and the condition of the registry
//! itself.
//!
//! Commits change it, and so does the passing of time. Many readers look at it at once, each on its
//! own thread. The actor, and a reader that finds the state out of date, lock it briefly to change
//! it.

use crate::protocol::{CostMode, PeerId};
use crate::server::config::{AuthenticationPolicy, RegistryConfig};
use crate::server::model::Outage;
use crate::server::policy::lease;
use crate::server::storage::{DataVersion, Memory, UnregisteredPeer};

use super::batch::{Batch, BatchContext, BatchTables, Plan};
use super::claims::Claims;
use super::counters::Counters;
use super::directory::Directory;
use super::relay::{CostStatus, Relay, RelayPlan};
use super::sign::Sign;

/// The maximum work of one step that stops listing expired peers, in changes of sets of peers: a
/// few milliseconds. Other work is done between two steps.
pub(crate) const EXPIRE_WEIGHT: usize = 4096;

/// A commit that takes longer than this is an outage, because no peer could renew; in milliseconds.
const SLOW_COMMIT_MS: i64 = 2_000;

/// Memory that the process may use besides peers and sessions before the registry refuses new ones,
/// in bytes.
const OVERHEAD_BYTES: usize = 112 << 20;

/// The maximum age of sessions and spend before a reader updates them, in milliseconds.
const RELAY_LAG_MS: i64 = 100;

/// Whether the database takes writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    /// It takes writes. The directory equals the table at this version.
    Works(DataVersion),
    /// Writes have failed since this time, in Unix milliseconds. No peer can renew, so leases stand
    /// still.
    Fails { since_ms: i64 },
}

/// What was read from a database that was changed from outside, or that works again after a
/// failure.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The relay state.
    pub relay: Relay,
    /// Ids that were proven.
    pub claims: Claims,
    /// The number of rows in `peers_quarantine`.
    pub quarantined: u64,
    pub max_row_id: i64,
    pub version: DataVersion,
    /// The outage that has ended, if the database had failed.
    pub credited: Option<Outage>,
}

/// The tables in memory, and the condition of the registry.
#[derive(Debug)]
pub(crate) struct State {
    pub directory: Directory,
    pub relay: Relay,
    pub claims: Claims,
    pub counters: Counters,
    pub storage: Storage,
    /// The number of rows that were set aside because they could not be read.
    pub quarantined: u64,
    /// Peers whose registrations the database refused, since it last took one.
    pub refused_in_a_row: Vec<PeerId>,
    /// Resident memory before the peers were loaded, in bytes.
    resident_bytes_before: usize,
    /// Whether resident memory has grown by much more than the peers account for, for example by
    /// fragmentation.
    exceeds_memory: bool,
    pub started_ms: i64,
    lease: RegistryConfig,
    /// In order of time, and disjoint.
    outages: Vec<Outage>,
    /// The outages that are not on disk yet.
    unsaved_outages: Vec<Outage>,
    /// When the transaction under way began.
    write_begun: Option<Sign>,
    sign_of_life: Sign,
    /// The mode before the changes that were not logged yet, if there are any.
    mode_before: Option<CostMode>,
    /// Outages during the life of the process that were not logged yet.
    unlogged_outages: Vec<Outage>,
}

/// Events that were not logged yet.
#[derive(Debug)]
pub(crate) struct UnloggedEvents {
    /// The mode before the last change, and the present cost of the month.
    pub mode: Option<(CostMode, CostStatus)>,
    pub credited: Vec<Outage>,
}

impl State {
    pub(crate) fn new(
        directory: Directory,
        relay: Relay,
        storage: Storage,
        lease: RegistryConfig,
        outages: Vec<Outage>,
        resident_bytes_before: usize,
        now_ms: i64,
    ) -> Self {
        Self {
            directory,
            relay,
            claims: Claims::default(),
            counters: Counters::default(),
            storage,
            quarantined: 0,
            refused_in_a_row: Vec::new(),
            resident_bytes_before,
            exceeds_memory: false,
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

    /// Whether a listing can be made now: no expired peer is listed, and the last sign of life is
    /// recent, so that no outage of the process remains to be credited.
    pub(crate) fn is_current(&self, now_ms: i64) -> bool {
        !self.is_overdue() && !self.directory.lists_expired(self.cutoff_ms(now_ms))
    }

    /// Whether sessions and spend are out of date and may be updated now.
    pub(crate) fn is_relay_stale(&self, now_ms: i64) -> bool {
        // The transaction under way was planned on this state, so the state must not change.
        self.write_begun.is_none()
            && !(0..RELAY_LAG_MS).contains(&now_ms.saturating_sub(self.relay.updated_ms()))
    }

    /// Whether sessions and spend are out of date because a transaction is under way.
    pub(crate) fn is_relay_held_back(&self, now_ms: i64) -> bool {
        self.write_begun.is_some() && now_ms.saturating_sub(self.relay.updated_ms()) > RELAY_LAG_MS
    }

    /// Updates the state to `now_ms`: credits an outage of the process, stops listing some of the
    /// expired peers, ends sessions and computes the mode from the cost.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        self.notice_gap(now_ms);
        self.directory.expire(self.cutoff_ms(now_ms), EXPIRE_WEIGHT);
        // The transaction under way was planned on the present sessions.
        if self.write_begun.is_none() {
            self.advance_relay(now_ms);
        }
    }

    fn advance_relay(&mut self, now_ms: i64) {
        let (servers, mode_before) = self.relay.advance(now_ms);
        self.follow_loads(&servers);
        self.mode_before = self.mode_before.or(mode_before);
    }

    /// Copies the number of live sessions of `servers` into the directory.
    fn follow_loads(&mut self, servers: &[PeerId]) {
        for server_id in servers {
            let load = self.relay.sessions.load(server_id.as_str());
            self.directory.set_load(server_id, load);
        }
    }

    /// Returns the events since the last call, for the log.
    pub(crate) fn take_unlogged(&mut self, now_ms: i64) -> UnloggedEvents {
        let before = self.mode_before.take();
        UnloggedEvents {
            mode: before.map(|before| (before, self.relay.status(now_ms))),
            credited: std::mem::take(&mut self.unlogged_outages),
        }
    }

    /// A peer that was last seen before this time has expired, in Unix milliseconds.
    pub(crate) fn cutoff_ms(&self, now_ms: i64) -> i64 {
        // Leases stand still during an outage, so the cutoff stays where it was when the outage
        // began.
        let as_of_ms = match (self.storage, self.write_begun) {
            (Storage::Fails { since_ms }, _) => since_ms,
            (_, Some(begun)) if begun.age_ms() > SLOW_COMMIT_MS => {
                begun.outage_until(now_ms).from_ms
            }
            _ => now_ms,
        };
        lease::cutoff_ms(as_of_ms, self.lease.peer_timeout_ms(), &self.outages)
    }

    /// The limits and times with which a batch is planned now.
    pub(crate) fn batch_context(&self, now_ms: i64, cleans_up: bool) -> BatchContext {
        BatchContext {
            now_ms,
            cutoff_ms: self.cutoff_ms(now_ms),
            lease_ms: self.lease.peer_timeout_ms(),
            max_peers: self.lease.max_peers,
            max_bytes: self.lease.max_memory_bytes,
            exceeds_memory: self.exceeds_memory,
            checks_claims: self.lease.authentication != AuthenticationPolicy::Off,
            cleans_up,
        }
    }

    /// The tables on which a batch is planned.
    pub(crate) fn batch_tables(&self) -> BatchTables<'_> {
        BatchTables {
            directory: &self.directory,
            relay: &self.relay,
            claims: &self.claims,
        }
    }

    /// When a lease that is renewed at `last_seen_ms` runs out, in Unix milliseconds.
    pub(crate) fn expires_at_ms(&self, last_seen_ms: i64) -> i64 {
        lease::expires_at_ms(last_seen_ms, self.lease.peer_timeout_ms())
    }

    /// Records that a transaction begins. Until it ends, the passing of time must not change the
    /// sessions and the cost, because the transaction was planned on them.
    pub(crate) fn begin_write(&mut self, now_ms: i64) {
        self.write_begun = Some(Sign::given_at(now_ms));
    }

    /// Records that the transaction has ended. A slow one was an outage.
    pub(crate) fn end_write(&mut self, is_committed: bool, now_ms: i64) {
        if let Some(begun) = self.write_begun.take()
            && is_committed
            && begun.age_ms() > SLOW_COMMIT_MS
        {
            self.credit(begun.outage_until(now_ms));
        }
    }

    /// Everything except the peers, from which lost tables can be written again.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            outages: self.outages.clone(),
            relay: self.relay.rows(),
            claims: self.claims.rows(),
        }
    }

    /// Adds to a batch the changes that time has made, if the batch writes to the same tables.
    pub(crate) fn add_passed_time(&mut self, batch: &mut Batch, relay_plan: RelayPlan) {
        batch.add_passed_time(relay_plan, &mut self.relay, &self.unsaved_outages);
    }

    /// Applies a plan that is on disk.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let changes = &plan.changes;
        if let Some(cleanup) = &changes.cleanup {
            self.directory
                .remove_expired(cleanup.before, &cleanup.spared);
            self.counters.cleanups += 1;
            self.counters.peers_cleaned += cleanup.expected as u64;
            self.counters.last_cleanup_ms = Some(changes.now_ms);
        }
        // The order is that of the transaction.
        for (row, history) in changes.registrations.iter().zip(&plan.histories) {
            self.directory.put_registered(row, history.clone());
        }
        for (offered, history) in changes.turn_offers.iter().zip(&plan.offer_histories) {
            let id = offered.peer_id.as_str();
            self.directory
                .offer_turn(id, &offered.offer, history.clone());
        }
        for peer in &plan.renewed {
            self.directory.renew(peer, changes.now_ms);
        }
        for UnregisteredPeer { peer_id, .. } in &changes.unregistered {
            self.directory.unregister(peer_id);
        }
        for claim in &changes.claims {
            self.claims.put(claim.clone());
        }
        for peer_id in &changes.forgotten_claims {
            self.claims.remove(peer_id);
        }
        if let Some(update) = &plan.relay {
            self.relay.apply(&changes.relay, update);
            self.follow_loads(&update.servers);
            // A bill or a report may change the mode, which the responses to this batch must show.
            self.advance_relay(changes.now_ms);
        }
        // Outages that were noticed during the transaction are not on disk yet.
        self.unsaved_outages.drain(..changes.outages.len());
    }

    /// Resumes work with a database that was changed from outside, or that works again. The caller
    /// then compares its peers with the directory.
    pub(crate) fn begin_resync(&mut self, changed: Changed, now_ms: i64, begins_sweep: bool) {
        let Changed {
            relay,
            claims,
            quarantined,
            max_row_id,
            version,
            credited,
        } = changed;
        self.quarantined = quarantined;
        if let Some(outage) = credited {
            self.add_outage(outage, now_ms);
        }
        self.claims = claims;
        // Sessions and traffic are small tables, so they were read as a whole.
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

    /// Whether the last sign of life is so old that the process must have stood still.
    fn is_overdue(&self) -> bool {
        self.sign_of_life.age_ms() > self.lease.max_gap_ms()
    }

    /// Credits a time in which the process stood still. The actor gives a sign of life twice per
    /// second. If one is long overdue, the process was stopped, its container was frozen or its
    /// thread was blocked, and no peer could renew meanwhile.
    fn notice_gap(&mut self, now_ms: i64) {
        if self.is_overdue() {
            let outage = self.sign_of_life.outage_until(now_ms);
            self.sign_of_life = Sign::given_at(now_ms);
            // While the database fails, the whole time since its first failure is one outage
            // already.
            if let Storage::Works(_) = self.storage {
                self.credit(outage);
            }
        }
    }

    /// Checks whether resident memory has grown beyond the budget and its overhead.
    pub(crate) fn weigh(&mut self, resident_bytes: usize) {
        let grown_bytes = resident_bytes.saturating_sub(self.resident_bytes_before);
        self.exceeds_memory = grown_bytes > self.lease.max_memory_bytes + OVERHEAD_BYTES;
    }

    /// Records that the actor runs.
    pub(crate) fn give_sign_of_life(&mut self, now_ms: i64) {
        self.notice_gap(now_ms);
        self.sign_of_life = Sign::given_at(now_ms);
    }

    /// Credits the time that loading the tables took, if it was long, because no peer could renew.
    pub(crate) fn credit_load(&mut self, now_ms: i64) {
        if now_ms - self.started_ms > SLOW_COMMIT_MS {
            self.credit(Outage {
                from_ms: self.started_ms,
                until_ms: now_ms,
            });
        }
    }

    /// Ends the sessions on TURN servers that are no longer registered.
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
