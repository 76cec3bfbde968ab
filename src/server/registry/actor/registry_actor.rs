//! The fields of the actor, its timers, and the choice of its next work.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use tokio::sync::oneshot;

use crate::clock::{self, Clock};
use crate::server::config::RegistryConfig;
use crate::server::registry::batch::{Batch, Maintenance, Plan};
use crate::server::registry::inbox::Inbox;
use crate::server::registry::journal::Journal;
use crate::server::registry::pulse::{Phase, Pulse};
use crate::server::registry::resync::Comparison;
use crate::server::registry::state::{State, UnloggedEvents};
use crate::server::registry::tables::RelayConfig;
use crate::server::registry::view::View;
use crate::server::resident;
use crate::server::storage::{FilesLost, StorageError, Store};

/// The maximum number of mutations in a transaction: large enough to make the cost of the commit
/// negligible, small enough that a transaction takes milliseconds.
const BATCH_MUTATIONS: usize = 1024;

/// How often the actor gives a sign of life.
const TICK: Duration = Duration::from_millis(500);

/// How often the actor checks that the files are the ones it opened.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// When the process first records that it is alive. The interval then doubles until it is a tenth
/// of a lease. A process that is killed soon after each start would otherwise leave no record of
/// its up-time, and no lease would ever run out.
const FIRST_MARK: Duration = Duration::from_millis(250);

/// The owner of the database, the inbox and the state.
pub(crate) struct RegistryActor {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub config: RegistryConfig,
    /// The configuration for reading the tables again.
    pub relay_config: RelayConfig,
    pub view: View,
    pub inbox: Inbox,
    pub maintenance: Vec<Maintenance>,
    /// The number of removed peers that no reply has counted yet. The next suitable reply counts
    /// them.
    pub unreported_removals: usize,
    /// Whether a transaction or a read of the table is under way.
    pub is_io_under_way: bool,
    pub comparison: Comparison,
    /// Batches to plan again, in this order.
    pub retried: VecDeque<Batch>,
    /// No cleanup runs before this time, in Unix milliseconds.
    pub no_cleanup_until_ms: i64,
    pub journal: Journal,
    pub pulse: Arc<Pulse>,
    pub drained: Option<oneshot::Sender<Result<(), StorageError>>>,
    /// Dropped with the actor, however it ends. If the files are lost, it sends the reason.
    pub alive: Option<oneshot::Sender<FilesLost>>,
    pub is_checking_files: bool,
    pub is_rescuing: bool,
    /// Kept until a rescue has ended, if the files were found lost when they were closed.
    pub closing: Option<oneshot::Sender<Result<(), StorageError>>>,
}

impl RegistryActor {
    /// The state, for readers.
    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    /// The activity of the actor, for other threads.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.pulse.enter(phase, clock::machine_ms());
    }

    /// Registered and active peers.
    pub(crate) fn peers(&self) -> (usize, usize) {
        let state = self.view.read();
        (state.directory.registered(), state.directory.active())
    }

    /// Gives a sign of life, twice per second.
    fn tick(&mut self) {
        let now_ms = self.clock.now_ms();
        self.pulse.turn(clock::machine_ms());
        self.enter(Phase::Expiring);
        // This is read before the lock is taken, so that readers do not wait for a system file.
        let resident_bytes = resident::bytes();
        self.advance(now_ms, |state| {
            if let Some(bytes) = resident_bytes {
                state.weigh(bytes);
            }
        });
        self.journal.flush(now_ms);
        self.enter(Phase::Waiting);
    }

    /// Brings the state up to `now_ms`, calls `then` under the same lock, and logs the events.
    pub(crate) fn advance<T>(&mut self, now_ms: i64, then: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.view.write();
        state.give_sign_of_life(now_ms);
        state.advance(now_ms);
        let events = state.take_unlogged(now_ms);
        let result = then(&mut state);
        drop(state);
        self.log(events, now_ms);
        result
    }

    pub(crate) fn log(&mut self, events: UnloggedEvents, now_ms: i64) {
        for outage in events.credited {
            self.journal.stood_still(now_ms, outage);
        }
        if let Some((before, cost)) = events.mode {
            self.journal.mode(now_ms, before, &cost);
        }
    }

    pub(crate) fn add_maintenance(&mut self, item: Maintenance, ctx: &mut Context<Self>) {
        if !self.maintenance.contains(&item) {
            self.maintenance.push(item);
        }
        self.go_on(ctx);
    }

    /// Begins the next transaction, or the next step of a comparison with the table, unless one is
    /// under way or nothing waits.
    pub(crate) fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.is_io_under_way {
            return;
        }
        let is_resync_next = self.comparison.is_next || !self.has_work() && self.drained.is_none();
        // A step of a comparison and a batch alternate, so that neither delays the other for long.
        match self.comparison.step {
            Some(step) if is_resync_next => self.step_resync(step, ctx),
            resync if self.has_work() => {
                let batch = self.next_batch();
                match resync {
                    // During a comparison the directory may be wrong about the batch's peers, so
                    // their rows are read first.
                    Some(_) => self.refresh(batch, ctx),
                    None => self.plan_and_commit(batch, ctx),
                }
            }
            _ => self.finish_drain(ctx),
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.retried.is_empty() || !self.inbox.is_empty() || !self.maintenance.is_empty()
    }

    fn next_batch(&mut self) -> Batch {
        self.retried.pop_front().unwrap_or_else(|| Batch {
            mutations: self.inbox.take(BATCH_MUTATIONS),
            maintenance: mem::take(&mut self.maintenance),
            plan: Plan::default(),
        })
    }

    /// Records that a transaction or a read of the table begins.
    pub(crate) fn begin_io(&mut self) {
        self.is_io_under_way = true;
        self.pulse.begin_io(clock::machine_ms());
    }

    /// Records that the transaction or the read has ended.
    pub(crate) fn end_io(&mut self) {
        self.is_io_under_way = false;
        self.pulse.end_io();
        if self.store.take_move_due() {
            self.checkpoint();
        }
    }

    /// Closes the database if the registry is draining. Called when nothing is left to write.
    fn finish_drain(&mut self, ctx: &mut Context<Self>) {
        let Some(drained) = self.drained.take() else {
            return;
        };
        let store = self.store.clone();
        let closed = async move { store.close().await };
        let closed = closed.into_actor(self).map(|closed, actor, ctx| {
            if let Err(StorageError::Lost(gone)) = closed {
                actor.closing = Some(drained);
                actor.give_up(gone, ctx);
            } else {
                // The receiver is gone if the process is being shut down.
                let _ = drained.send(closed);
            }
        });
        ctx.spawn(closed);
    }
}

impl Drop for RegistryActor {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl Actor for RegistryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let cleanup_interval = Duration::from_secs(self.config.cleanup_interval_secs);
        ctx.run_interval(cleanup_interval, |actor, ctx| {
            actor.add_maintenance(Maintenance::Cleanup, ctx);
            actor.give_back_pages();
        });
        ctx.run_interval(TICK, |actor, _| actor.tick());
        ctx.run_interval(FILE_CHECK_INTERVAL, |actor, ctx| actor.check_files(ctx));
        mark_alive(ctx, FIRST_MARK);
    }
}

/// Records after `wait` that the registry is alive, and again after twice that time.
fn mark_alive(ctx: &mut Context<RegistryActor>, wait: Duration) {
    ctx.run_later(wait, move |actor, ctx| {
        actor.add_maintenance(Maintenance::MarkAlive, ctx);
        let longest = Duration::from_secs(actor.config.peer_timeout_secs) / 10;
        if wait >= longest {
            actor.checkpoint();
        }
        mark_alive(ctx, (wait * 2).min(longest));
    });
}
