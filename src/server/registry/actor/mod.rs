//! The one actor that owns the database.
//!
//! Mutations queue up while a transaction is under way; the next one takes all that wait. Commits
//! run outside the actor's context, as futures spawned on its context would all be polled at each
//! wake, and report back by message.

mod handlers;
mod views;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::oneshot;

use super::RegistryError;
use super::batch::{Batch, Chore, Circumstances, Mutation, Outcome, Plan};
use super::counters::Counters;
use super::directory::Directory;
use super::inbox::Inbox;
use super::journal;
use super::messages::{Accepted, BatchFinished, RelayOutcome, RelayReply, Reply, Ticket};
use super::relay::{Relay, SentBytes};
use crate::clock::Clock;
use crate::protocol::PeerId;
use crate::server::config::{Config, LeaseConfig};
use crate::server::policy::lease::{self, Outage};
use crate::server::progress::Progress;
use crate::server::storage::{DataVersion, FileGone, FilesLost, Resumed, StorageError, Store};

use views::{RelayConfig, Views};

pub(super) use views::Written;

/// The most mutations that share a transaction: enough to make the cost of the commit itself
/// vanish, few enough that a transaction takes milliseconds.
const BATCH_MUTATIONS: usize = 1024;

/// Pages that a backup cleanup gives back at most: some 50 ms.
const MAX_VACUUMED_PAGES: u32 = 2000;

/// How often the files are compared with the ones that were opened.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Messages in the mailbox before their senders wait.
const MAILBOX_MESSAGES: usize = 4096;

/// The owner of the database, the queue before it and the directory after it.
pub(super) struct RegistryActor {
    store: Store,
    clock: Arc<dyn Clock>,
    config: LeaseConfig,
    /// To read the tables anew with.
    relay_config: RelayConfig,
    directory: Directory,
    relay: Relay,
    storage: Storage,
    outages: Vec<Outage>,
    inbox: Inbox,
    chores: Vec<Chore>,
    is_writing: bool,
    counters: Counters,
    started_ms: i64,
    rng: SmallRng,
    drained: Option<oneshot::Sender<Result<(), StorageError>>>,
    /// Dropped with the actor, however it ends; tells why, if the files are lost.
    alive: Option<oneshot::Sender<FilesLost>>,
    is_checking_files: bool,
}

/// Whether the database takes writes.
#[derive(Clone, Copy, Debug)]
enum Storage {
    /// It does, and the directory equals the table at this version.
    Works(DataVersion),
    /// It has not since this moment, in Unix milliseconds. Nobody can renew, so leases stand still.
    Fails { since_ms: i64 },
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
            sent,
        };
        let (Views { directory, relay }, version) =
            views::load(&store, &relay_config, now_ms, progress).await?;
        let storage = match resumed.stalled_since_ms {
            Some(since_ms) => Storage::Fails { since_ms },
            None => Storage::Works(version),
        };
        let mut actor = Self {
            store,
            clock,
            config: lease,
            relay_config,
            directory,
            relay,
            storage,
            outages: resumed.outages.clone(),
            inbox,
            chores: Vec::new(),
            is_writing: false,
            counters: Counters::default(),
            started_ms: now_ms,
            rng: SmallRng::from_rng(&mut rand::rng()),
            drained: None,
            alive: Some(alive),
            is_checking_files: false,
        };
        actor.look();
        Ok((actor, resumed))
    }

    /// Registered and active peers.
    pub(super) fn peers(&self) -> (usize, usize) {
        (self.directory.registered(), self.directory.active())
    }

    /// Brings the views up to now, which it returns.
    fn look(&mut self) -> i64 {
        let now_ms = self.clock.now_ms();
        self.directory.expire(self.cutoff_ms(now_ms));
        // What was planned rests on the sessions as they were.
        if !self.is_writing {
            self.pass_time(now_ms);
        }
        now_ms
    }

    /// Ends the TURN sessions whose time has come and follows the cost with the mode.
    fn pass_time(&mut self, now_ms: i64) {
        let (servers, mode_before) = self.relay.advance(now_ms);
        self.follow_loads(&servers);
        if let Some(before) = mode_before {
            journal::mode(before, &self.relay.status(now_ms));
        }
    }

    fn follow_loads(&mut self, servers: &[PeerId]) {
        for server_id in servers {
            let load = self.relay.sessions().load(server_id.as_str());
            self.directory.set_load(server_id, load);
        }
    }

    fn cutoff_ms(&self, now_ms: i64) -> i64 {
        let as_of_ms = match self.storage {
            Storage::Works(_) => now_ms,
            Storage::Fails { since_ms } => since_ms,
        };
        lease::cutoff_ms(as_of_ms, self.config.peer_timeout_ms(), &self.outages)
    }

    fn add_chore(&mut self, chore: Chore, ctx: &mut Context<Self>) {
        if !self.chores.contains(&chore) {
            self.chores.push(chore);
        }
        self.write(ctx);
    }

    /// Begins the next transaction, unless one is under way or nothing waits.
    fn write(&mut self, ctx: &mut Context<Self>) {
        if !self.is_writing && self.has_work() {
            let batch = Batch {
                mutations: self.inbox.take(BATCH_MUTATIONS),
                chores: mem::take(&mut self.chores),
                plan: Plan::default(),
            };
            self.write_batch(batch, ctx);
        }
        if !self.is_writing {
            self.finish_drain();
        }
    }

    fn has_work(&self) -> bool {
        !self.inbox.is_empty() || !self.chores.is_empty()
    }

    /// Begins a transaction. A batch of refusals has nothing to write, but must not refuse what is
    /// in the table by now.
    fn write_batch(&mut self, mut batch: Batch, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        let circumstances = Circumstances {
            now_ms,
            cutoff_ms: self.cutoff_ms(now_ms),
            max_peers: self.config.max_peers,
        };
        self.pass_time(now_ms);
        batch.plan(&mut self.directory, &mut self.relay, circumstances);
        self.is_writing = true;
        let store = self.store.clone();
        let storage = self.storage;
        let relay_config = self.relay_config.clone();
        let registry = ctx.address();
        actix::spawn(async move {
            let result = views::write(&store, &batch.plan.changes, storage, &relay_config).await;
            registry.do_send(BatchFinished { batch, result });
        });
    }

    /// Makes the directory follow a transaction, and answers everyone in it.
    fn apply(&mut self, batch: Batch) {
        let Plan {
            changes,
            renewed,
            offered,
            relay,
            ..
        } = &batch.plan;
        let mut cleaned = 0;
        if let Some(cleanup) = &changes.cleanup {
            cleaned = cleanup.expected;
            self.directory
                .remove_expired(cleanup.cutoff_ms, &cleanup.spared);
            self.counters.cleanups += 1;
            self.counters.peers_cleaned += cleaned as u64;
            self.counters.last_cleanup_ms = Some(changes.now_ms);
            journal::cleanup(cleaned, &batch.chores);
        }
        for row in &changes.registrations {
            self.directory.put(row);
        }
        for (peer_id, (_, offer)) in offered.iter().zip(&changes.turn_offers) {
            self.directory.offer_turn(peer_id.as_str(), offer);
        }
        for peer in renewed {
            self.directory.renew(peer, changes.now_ms);
        }
        if let Some(planned) = relay {
            self.relay.apply(&changes.relay, planned);
            self.follow_loads(&planned.servers);
            // A bill or a report may ask for another mode, which the answers must tell.
            self.pass_time(changes.now_ms);
        }
        self.answer(batch, cleaned);
    }

    fn answer(&mut self, batch: Batch, mut cleaned: usize) {
        let last_seen_ms = batch.plan.changes.now_ms;
        let accepted = Accepted {
            last_seen_ms,
            expires_at_ms: lease::expires_at_ms(last_seen_ms, self.config.peer_timeout_ms()),
            total_peers: self.directory.registered(),
            turn_servers: self.directory.turn_servers(),
            cleaned: 0,
        };
        for ((mutation, ticket), outcome) in batch.mutations.into_iter().zip(batch.plan.outcomes) {
            self.count(&mutation, &outcome);
            journal::mutation(&mutation, &outcome);
            // A refusal has no room for the count.
            let tells = !matches!(outcome, Outcome::Relay(RelayOutcome::Refused(_)));
            let answer = match outcome.error() {
                Some(error) => Err(error),
                None => Ok(Reply {
                    accepted: Accepted {
                        cleaned: if tells { mem::take(&mut cleaned) } else { 0 },
                        ..accepted
                    },
                    relay: self.relay_reply(outcome, last_seen_ms),
                }),
            };
            ticket.answer(answer);
        }
    }

    fn relay_reply(&self, outcome: Outcome, now_ms: i64) -> Option<Box<RelayReply>> {
        let Outcome::Relay(outcome) = outcome else {
            return None;
        };
        Some(Box::new(RelayReply {
            outcome,
            cost: self.relay.status(now_ms),
        }))
    }

    fn count(&mut self, mutation: &Mutation, outcome: &Outcome) {
        let counters = &mut self.counters;
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

    /// Goes on from a table that was read anew.
    fn reload(&mut self, views: Views, version: DataVersion, credited: Option<Outage>) {
        journal::reloaded(views.directory.registered(), credited);
        self.outages.extend(credited);
        self.directory = views.directory;
        self.relay = views.relay.follow(&self.relay);
        self.storage = Storage::Works(version);
        let cutoff_ms = self.cutoff_ms(self.clock.now_ms());
        self.outages
            .retain(|outage| !lease::is_spent(outage, cutoff_ms));
    }

    /// Answers everyone in a batch that failed; nothing of it is on disk.
    fn fail(&mut self, batch: Batch, error: &StorageError) {
        if let Storage::Works(_) = self.storage {
            // From its beginning, as it may have waited long for the database.
            let since_ms = batch.plan.changes.now_ms;
            self.storage = Storage::Fails { since_ms };
            journal::degraded(error);
        } else {
            journal::still_degraded(error);
        }
        for (_, ticket) in batch.mutations {
            ticket.answer(Err(RegistryError::StorageUnavailable));
        }
    }

    /// Lets the file shrink a little, if much of it is free.
    fn give_back_pages(&self) {
        let store = self.store.clone();
        actix::spawn(async move {
            match store.vacuum_some(MAX_VACUUMED_PAGES).await {
                Ok(0) => {}
                Ok(pages) => journal::shrunk(pages),
                Err(error) => journal::still_degraded(&error),
            }
        });
    }

    /// Looks whether the files are still there. If not, nothing is accepted any more, what is known
    /// is written to a new file, and the actor ends.
    fn check_files(&mut self, ctx: &mut Context<Self>) {
        if mem::replace(&mut self.is_checking_files, true) {
            return;
        }
        let store = self.store.clone();
        let check = async move { store.check_files().await };
        let checked = check.into_actor(self).map(|checked, actor, ctx| {
            actor.is_checking_files = false;
            if let Err(gone) = checked {
                actor.give_up(gone, ctx);
            }
        });
        ctx.spawn(checked);
    }

    fn give_up(&mut self, gone: FileGone, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        self.is_checking_files = true;
        // Health must say so at once.
        self.storage = Storage::Fails { since_ms: now_ms };
        let store = self.store.clone();
        let rescue = async move { store.give_up(gone, now_ms).await };
        let ended = rescue.into_actor(self).map(|lost, actor, ctx| {
            journal::files_lost(&lost);
            if let Some(alive) = actor.alive.take() {
                // Nobody listens any more if the process is being torn down.
                let _ = alive.send(lost);
            }
            ctx.stop();
        });
        ctx.spawn(ended);
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
        // Permits bound the messages; a sender that had to wait for a place would cost more.
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        let cleanup_interval = Duration::from_secs(self.config.cleanup_interval_secs);
        ctx.run_interval(cleanup_interval, |actor, ctx| {
            actor.add_chore(Chore::Cleanup, ctx);
            actor.give_back_pages();
        });
        let alive_interval = Duration::from_secs(self.config.peer_timeout_secs) / 10;
        ctx.run_interval(alive_interval, |actor, ctx| {
            actor.add_chore(Chore::MarkAlive, ctx);
        });
        ctx.run_interval(FILE_CHECK_INTERVAL, |actor, ctx| actor.check_files(ctx));
    }
}
