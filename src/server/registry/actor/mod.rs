//! The one actor that owns the database.
//!
//! Mutations queue up while a transaction is under way; the next one takes all that wait. Commits
//! run outside the actor's context, as futures spawned on its context would all be polled at each
//! wake, and report back by message.

mod files;
mod handlers;
mod resyncing;
mod views;

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context};
use tokio::sync::oneshot;

use super::RegistryError;
use super::batch::{Batch, Chore, Mutation, Outcome, Plan};
use super::counters::Counters;
use super::inbox::Inbox;
use super::journal::{self, Journal};
use super::messages::{Accepted, BatchFinished, RelayOutcome, RelayReply, Reply, Ticket};
use super::pulse::{Phase, Pulse};
use super::relay::{Relay, SESSION_BYTES, SentBytes};
use super::resync::Resync;
use super::state::{News, State, Storage};
use super::view::View;
use crate::clock::{self, Clock};
use crate::server::config::{Config, LeaseConfig, SessionConfig};
use crate::server::progress::Progress;
use crate::server::storage::{FilesLost, Resumed, StorageError, Store};

use views::{RelayConfig, Views};

pub(super) use views::Written;

/// The most mutations that share a transaction: enough to make the cost of the commit itself
/// vanish, few enough that a transaction takes milliseconds.
const BATCH_MUTATIONS: usize = 1024;

/// How often the actor gives a sign of life.
const TICK: Duration = Duration::from_millis(500);

/// How long comparisons with the table may put off cleanups, in milliseconds.
const MAX_RESYNC_MS: i64 = 5_000;

/// How often the files are compared with the ones that were opened.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long nothing is cleaned up after the database has refused a cleanup, in milliseconds.
const CLEANUP_PAUSE_MS: i64 = 60_000;

/// When the process first records that it is alive; then after twice as long, and so on, until it
/// does so every tenth of a lease. A process that is killed soon after each start would otherwise
/// never have lived, and nobody's lease would run out.
const FIRST_MARK: Duration = Duration::from_millis(250);

/// The owner of the database, the queue before it and the state after it.
pub(super) struct RegistryActor {
    store: Store,
    clock: Arc<dyn Clock>,
    config: LeaseConfig,
    /// To read the tables anew with.
    relay_config: RelayConfig,
    view: View,
    inbox: Inbox,
    chores: Vec<Chore>,
    /// Peers that cleanups of mutations removed and no response has told of: a cleanup that takes
    /// several transactions tells the rest to the next sender.
    untold: usize,
    /// A transaction or a read of the table is under way.
    is_writing: bool,
    /// How far the comparison with the table has come, if one is under way.
    resync: Option<Resync>,
    /// Since when there has always been one, in machine milliseconds.
    resync_since_ms: Option<i64>,
    /// Whether the table has changed since it began.
    is_resync_stale: bool,
    /// Whether the comparison comes before the next batch: the two take turns.
    is_resync_next: bool,
    /// Batches that are to be planned again, in this order.
    retried: VecDeque<Batch>,
    /// Until when nothing is cleaned up, in Unix milliseconds.
    no_cleanup_until_ms: i64,
    journal: Journal,
    pulse: Arc<Pulse>,
    drained: Option<oneshot::Sender<Result<(), StorageError>>>,
    /// Dropped with the actor, however it ends; tells why, if the files are lost.
    alive: Option<oneshot::Sender<FilesLost>>,
    is_checking_files: bool,
}

impl RegistryActor {
    /// Takes up the leases in `store`.
    pub(super) async fn resume(
        store: Store,
        clock: Arc<dyn Clock>,
        config: &Config,
        sent: SentBytes,
        inbox: Inbox,
        alive: oneshot::Sender<FilesLost>,
        progress: &Progress,
    ) -> Result<(Self, Resumed), StorageError> {
        let now_ms = clock.now_ms();
        let lease = config.lease;
        let resumed = store.resume(now_ms, lease.peer_timeout_ms()).await?;
        let relay_config = RelayConfig {
            cost: config.cost.clone(),
            sessions: SessionConfig {
                // Those that have ended must not keep newcomers out.
                max_ended: config
                    .sessions
                    .max_ended
                    .min(lease.max_memory_bytes / 8 / SESSION_BYTES),
                ..config.sessions
            },
            sent,
        };
        let max_bytes = lease.max_memory_bytes;
        let Views {
            directory,
            relay,
            version,
            quarantined,
            is_whole,
        } = views::load(&store, &relay_config, max_bytes, now_ms, progress).await?;
        let storage = match resumed.stalled_since_ms {
            Some(since_ms) => Storage::Fails { since_ms },
            None if is_whole => Storage::Works(version),
            None => Storage::Fails { since_ms: now_ms },
        };
        let outages = resumed.outages.clone();
        let mut state = State::new(directory, relay, storage, lease, outages, now_ms);
        state.quarantined = quarantined;
        let now_ms = clock.now_ms();
        if let Storage::Works(_) = state.storage {
            state.credit_load(now_ms);
        }
        while !state.is_current(now_ms) {
            state.advance(now_ms);
        }
        state.advance(now_ms);
        let actor = Self {
            store,
            view: View::new(state, Arc::clone(&clock)),
            clock,
            config: lease,
            relay_config,
            inbox,
            chores: Vec::new(),
            untold: 0,
            is_writing: false,
            resync: None,
            resync_since_ms: None,
            is_resync_stale: false,
            is_resync_next: false,
            retried: VecDeque::new(),
            no_cleanup_until_ms: i64::MIN,
            journal: Journal::default(),
            pulse: Arc::new(Pulse::new(clock::machine_ms())),
            drained: None,
            alive: Some(alive),
            is_checking_files: false,
        };
        Ok((actor, resumed))
    }

    /// What readers look at.
    pub(super) fn view(&self) -> View {
        self.view.clone()
    }

    /// What the actor is at, for other threads.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    fn enter(&self, phase: Phase) {
        self.pulse.enter(phase, clock::machine_ms());
    }

    /// Registered and active peers.
    pub(super) fn peers(&self) -> (usize, usize) {
        let state = self.view.read();
        (state.directory.registered(), state.directory.active())
    }

    /// Gives a sign of life.
    fn tick(&mut self) {
        let now_ms = self.clock.now_ms();
        self.pulse.turn(clock::machine_ms());
        self.enter(Phase::Expiring);
        self.advance(now_ms, State::weigh);
        self.journal.flush(now_ms);
        self.enter(Phase::Waiting);
    }

    /// Brings the state up to now, and logs what is new.
    fn advance<T>(&mut self, now_ms: i64, then: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.view.write();
        state.give_sign_of_life(now_ms);
        state.advance(now_ms);
        let news = state.take_news(now_ms);
        let result = then(&mut state);
        drop(state);
        self.log(news, now_ms);
        result
    }

    fn log(&mut self, news: News, now_ms: i64) {
        for outage in news.credited {
            self.journal.stood_still(now_ms, outage);
        }
        if let Some((before, cost)) = news.mode {
            self.journal.mode(now_ms, before, &cost);
        }
    }

    fn add_chore(&mut self, chore: Chore, ctx: &mut Context<Self>) {
        if !self.chores.contains(&chore) {
            self.chores.push(chore);
        }
        self.go_on(ctx);
    }

    /// Begins the next transaction, or the next step of a comparison with the table, unless one is
    /// under way or nothing waits.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.is_writing {
            return;
        }
        let is_resync_next = self.is_resync_next || !self.has_work() && self.drained.is_none();
        match self.resync {
            Some(step) if is_resync_next => self.step_resync(step, ctx),
            resync if self.has_work() => {
                let batch = self.next_batch();
                match resync {
                    Some(_) => self.refresh(batch, ctx),
                    None => self.write_batch(batch, ctx),
                }
            }
            _ => self.finish_drain(),
        }
    }

    fn has_work(&self) -> bool {
        !self.retried.is_empty() || !self.inbox.is_empty() || !self.chores.is_empty()
    }

    fn next_batch(&mut self) -> Batch {
        self.retried.pop_front().unwrap_or_else(|| Batch {
            mutations: self.inbox.take(BATCH_MUTATIONS),
            chores: mem::take(&mut self.chores),
            plan: Plan::default(),
        })
    }

    /// Plans a batch and begins its transaction. A batch of refusals has nothing to write, but must
    /// not refuse what is in the table by now.
    fn write_batch(&mut self, mut batch: Batch, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        self.enter(Phase::Planning);
        // While somebody writes again and again, no comparison comes to its end. Then a cleanup is
        // tried all the same: if it meets other rows than it should, it fails, and is put off.
        let is_compared = match self.resync_since_ms {
            Some(since_ms) => clock::machine_ms() - since_ms > MAX_RESYNC_MS,
            None => true,
        };
        let cleans_up = is_compared && now_ms >= self.no_cleanup_until_ms;
        let circumstances = self.advance(now_ms, |state| {
            // From here on readers leave alone what is planned on.
            state.begin_write(now_ms);
            state.circumstances(now_ms, cleans_up)
        });
        let (drafted, rest) = {
            let state = self.view.read();
            batch.plan(&state.directory, &state.relay, circumstances)
        };
        self.inbox.put_back(rest);
        let is_alone = batch.mutations.len() <= 1 && batch.plan.changes.cleanup.is_none();
        let (storage, other_row) = {
            let mut state = self.view.write();
            batch.add_passed_time(drafted, &mut state);
            let sender = batch.mutations.first().and_then(|(it, _)| it.peer_id());
            let other_row = is_alone.then(|| state.directory.row_of_another(sender));
            (state.storage, other_row.flatten())
        };
        self.enter(Phase::Waiting);
        self.begin_io();
        let store = self.store.clone();
        let (relay_config, view) = (self.relay_config.clone(), self.view.clone());
        let registry = ctx.address();
        actix::spawn(async move {
            let changes = &batch.plan.changes;
            let result = views::write(&store, changes, storage, &relay_config, &view).await;
            let refuses_everyone = match (&result, other_row) {
                (Err(StorageError::Constraint(_)), Some(other)) => {
                    store.probe(other).await.is_err()
                }
                (Err(StorageError::Constraint(_)), None) => is_alone,
                _ => false,
            };
            registry.do_send(BatchFinished {
                batch,
                result,
                refuses_everyone,
            });
        });
    }

    /// A transaction or a read of the table begins.
    fn begin_io(&mut self) {
        self.is_writing = true;
        self.pulse.begin_commit(clock::machine_ms());
    }

    /// It has ended.
    fn end_io(&mut self) {
        self.is_writing = false;
        self.pulse.end_commit();
    }

    /// Makes the state follow a transaction, and answers everyone in it.
    fn apply(&mut self, batch: Batch) {
        let view = self.view.clone();
        let mut state = view.write();
        // In one with what follows: a reader in between would let time pass over what was planned.
        state.end_write(true, self.clock.now_ms());
        let Plan {
            changes,
            renewed,
            offered,
            relay,
            ..
        } = &batch.plan;
        if let Some(cleanup) = &changes.cleanup {
            let cleaned = cleanup.expected;
            state
                .directory
                .remove_expired(cleanup.before, &cleanup.spared);
            state.counters.cleanups += 1;
            state.counters.peers_cleaned += cleaned as u64;
            state.counters.last_cleanup_ms = Some(changes.now_ms);
            self.journal.cleanup(changes.now_ms, cleaned, &batch.chores);
            if cleanup.before.0 < cleanup.cutoff_ms && !self.chores.contains(&Chore::CleanupRest) {
                // Some were left, so that nobody had to wait.
                self.chores.push(Chore::CleanupRest);
            }
            if !batch.chores.contains(&Chore::Cleanup) || !batch.mutations.is_empty() {
                self.untold += cleaned;
            }
        }
        for row in &changes.registrations {
            state.directory.put(row);
        }
        for (peer_id, (_, offer)) in offered.iter().zip(&changes.turn_offers) {
            state.directory.offer_turn(peer_id.as_str(), offer);
        }
        for peer in renewed {
            state.directory.renew(peer, changes.now_ms);
        }
        if let Some(planned) = relay {
            state.relay.apply(&changes.relay, planned);
            state.follow_relay(&planned.servers, changes.now_ms);
        }
        state.saved_outages(changes.outages.len());
        let now_ms = changes.now_ms;
        let news = state.take_news(now_ms);
        let accepted = Accepted {
            last_seen_ms: now_ms,
            expires_at_ms: state.expires_at_ms(now_ms),
            total_peers: state.directory.registered(),
            turn_servers: state.directory.turn_servers(),
            cleaned: 0,
        };
        for ((mutation, _), outcome) in batch.mutations.iter().zip(&batch.plan.outcomes) {
            count(&mut state.counters, mutation, outcome);
        }
        let untold = self.untold;
        let replies = Replies {
            accepted,
            untold,
            relay: &state.relay,
            journal: &mut self.journal,
        };
        self.untold = replies.send(batch);
        drop(state);
        self.log(news, now_ms);
    }

    /// Finds whose write it is that a trigger or a check of an operator's stands in the way of, so
    /// that everyone else goes on: without the cleanup first, then half by half.
    fn isolate(&mut self, mut batch: Batch, error: &StorageError) {
        let now_ms = self.clock.now_ms();
        {
            let mut state = self.view.write();
            state.end_write(false, now_ms);
            if let Some(unsaved) = batch.plan.unsaved.take() {
                state.relay.put_back(&unsaved);
            }
        }
        if batch.plan.changes.cleanup.is_some() {
            self.journal.constraint(now_ms, None, error);
            self.no_cleanup_until_ms = now_ms + CLEANUP_PAUSE_MS;
            self.retried.push_front(batch);
            return;
        }
        if batch.mutations.len() > 1 {
            let half = batch.mutations.split_off(batch.mutations.len() / 2);
            let half = Batch {
                mutations: half,
                ..Batch::default()
            };
            self.retried.push_front(half);
            self.retried.push_front(batch);
            return;
        }
        if batch.mutations.is_empty() {
            self.journal.constraint(now_ms, None, error);
        }
        for (mutation, ticket) in batch.mutations {
            self.journal.constraint(now_ms, mutation.peer_id(), error);
            ticket.answer(Err(RegistryError::StorageUnavailable));
        }
    }

    /// Answers everyone in a batch that failed as the database takes no writes: since its beginning,
    /// as it may have waited long for the database.
    fn fail(&mut self, batch: Batch, error: &StorageError, since_ms: i64) {
        let mut state = self.view.write();
        state.end_write(false, since_ms);
        if let Storage::Works(_) = state.storage {
            state.storage = Storage::Fails { since_ms };
            self.journal.degraded(since_ms, error);
        } else {
            journal::still_degraded(error);
        }
        drop(state);
        for (_, ticket) in batch.mutations {
            ticket.answer(Err(RegistryError::StorageUnavailable));
        }
    }

    /// Closes the database once everything is written, if the registry is draining.
    fn finish_drain(&mut self) {
        let Some(drained) = self.drained.take() else {
            return;
        };
        let store = self.store.clone();
        actix::spawn(async move {
            // Nobody listens any more if the process is being torn down.
            let _ = drained.send(store.close().await);
        });
    }
}

/// Answers those in a batch that is on disk.
struct Replies<'s> {
    accepted: Accepted,
    /// Peers removed by cleanups that no response has told of yet.
    untold: usize,
    relay: &'s Relay,
    journal: &'s mut Journal,
}

impl Replies<'_> {
    /// Returns how many removed peers are still untold.
    fn send(mut self, batch: Batch) -> usize {
        for ((mutation, ticket), outcome) in batch.mutations.into_iter().zip(batch.plan.outcomes) {
            self.journal
                .mutation(self.accepted.last_seen_ms, &mutation, &outcome);
            // A refusal has no room for the count.
            let tells = !matches!(outcome, Outcome::Relay(RelayOutcome::Refused(_)));
            let answer = match outcome.error() {
                Some(error) => Err(error),
                None => Ok(Reply {
                    accepted: Accepted {
                        cleaned: if tells {
                            mem::take(&mut self.untold)
                        } else {
                            0
                        },
                        ..self.accepted
                    },
                    relay: self.relay_reply(outcome),
                }),
            };
            ticket.answer(answer);
        }
        self.untold
    }

    fn relay_reply(&self, outcome: Outcome) -> Option<Box<RelayReply>> {
        let Outcome::Relay(outcome) = outcome else {
            return None;
        };
        Some(Box::new(RelayReply {
            outcome,
            cost: self.relay.status(self.accepted.last_seen_ms),
        }))
    }
}

fn count(counters: &mut Counters, mutation: &Mutation, outcome: &Outcome) {
    let counter = match (mutation, outcome) {
        (Mutation::Allocate(_), Outcome::Relay(RelayOutcome::Refused(refusal))) => counters
            .allocations_refused
            .entry(refusal.code())
            .or_default(),
        (Mutation::Register(_), outcome) if outcome.error().is_none() => {
            &mut counters.registrations
        }
        (Mutation::Renew(_), Outcome::Renewed) => &mut counters.heartbeats,
        (Mutation::Renew(_), _) => &mut counters.heartbeats_refused,
        (Mutation::Allocate(_), Outcome::Relay(_)) => &mut counters.allocations_granted,
        _ => return,
    };
    *counter += 1;
}

impl Ticket {
    fn answer(self, answer: Result<Reply, RegistryError>) {
        // The client may have hung up; what it asked for is done all the same.
        let _ = self.reply.send(answer);
        drop(self.permit);
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
            actor.add_chore(Chore::Cleanup, ctx);
            actor.give_back_pages();
        });
        ctx.run_interval(TICK, |actor, _| actor.tick());
        ctx.run_interval(FILE_CHECK_INTERVAL, |actor, ctx| actor.check_files(ctx));
        mark_alive(ctx, FIRST_MARK);
    }
}

/// Records that the registry is alive after `wait`, and again after twice as long.
fn mark_alive(ctx: &mut Context<RegistryActor>, wait: Duration) {
    ctx.run_later(wait, move |actor, ctx| {
        actor.add_chore(Chore::MarkAlive, ctx);
        let longest = Duration::from_secs(actor.config.peer_timeout_secs) / 10;
        if wait >= longest {
            actor.checkpoint();
        }
        mark_alive(ctx, (wait * 2).min(longest));
    });
}
