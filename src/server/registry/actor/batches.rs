//! How the actor writes a batch, and what it does after the commit.

use actix::{AsyncContext, Context};

use super::registry_actor::{RegistryActor, StopPhase};
use crate::clock;
use crate::server::registry::batch::{Batch, Maintenance};
use crate::server::registry::messages::BatchFinished;
use crate::server::registry::mutation::Mutation;
use crate::server::registry::pulse::Phase;
use crate::server::registry::reply::{Committed, Receipt};
use crate::server::registry::tables;
use crate::server::storage::{Cleanup, StorageError};

/// The maximum time for which comparisons with the table delay cleanups, in milliseconds.
const MAX_RESYNC_MS: i64 = 5_000;

impl RegistryActor {
    /// Plans a batch and begins its transaction. Even a batch that writes nothing goes to the
    /// database: its refusals were decided on the state in memory, and the table may have changed
    /// since.
    pub(crate) fn plan_and_commit(&mut self, mut batch: Batch, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        self.enter(Phase::Planning);
        // If another program keeps writing, comparisons never end. After `MAX_RESYNC_MS` the actor
        // cleans up without a finished comparison. This is safe, because the guard fails the
        // transaction if the table has other rows than planned.
        let is_compared = match self.comparison.since_ms {
            Some(since_ms) => clock::machine_ms() - since_ms > MAX_RESYNC_MS,
            None => true,
        };
        let cleans_up = is_compared && now_ms >= self.no_cleanup_until_ms;
        let context = self.advance(now_ms, |state| {
            // From here on, readers do not change the sessions and the cost on which the batch is
            // planned.
            state.begin_write(now_ms);
            state.batch_context(now_ms, cleans_up)
        });
        // Planning takes a read lock only, so that readers can list peers meanwhile.
        let (relay_plan, rest) = {
            let state = self.view.read();
            batch.plan(&state.batch_tables(), context)
        };
        self.inbox.put_back(rest);
        // When the database refuses a batch of one mutation, a probe with another peer's row shows
        // whether it refuses all writes or only this one.
        let is_alone = batch.mutations.len() <= 1 && batch.plan.changes.cleanup.is_none();
        let (storage, other_row) = {
            let mut state = self.view.write();
            state.add_passed_time(&mut batch, relay_plan);
            let sender = batch.mutations.first().and_then(Mutation::peer_id);
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
            let result =
                tables::commit_or_reload(&store, changes, storage, &relay_config, &view).await;
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

    /// Applies a committed batch to the state, and sends the replies.
    pub(crate) fn apply(&mut self, batch: Batch) {
        let now_ms = batch.plan.changes.now_ms;
        if let Some(cleanup) = &batch.plan.changes.cleanup {
            self.note_cleanup(cleanup, &batch, now_ms);
        }
        let view = self.view.clone();
        let mut state = view.write();
        // The same lock covers all that follows: between two locks, a reader could end sessions
        // that the plan relies on.
        state.end_write(true, self.clock.now_ms());
        state.apply(&batch.plan);
        if !batch.plan.changes.registrations.is_empty() {
            state.refused_in_a_row.clear();
        }
        let events = state.take_unlogged(now_ms);
        let receipt = Receipt {
            last_seen_ms: now_ms,
            expires_at_ms: state.expires_at_ms(now_ms),
            total_peers: state.directory.registered(),
            turn_servers: state.directory.turn_servers(),
            cleaned: self.unreported_removals,
        };
        // The counters change before any reply is sent, so that a client sees its own request
        // counted.
        for mutation in &batch.mutations {
            state.counters.count(mutation);
        }
        let mut committed = Committed::new(receipt, &state.relay);
        for mutation in batch.mutations {
            self.journal.mutation(now_ms, &mutation);
            mutation.reply(&mut committed);
        }
        self.unreported_removals = committed.unreported_removals();
        drop(state);
        self.log(events, now_ms);
    }

    fn note_cleanup(&mut self, cleanup: &Cleanup, batch: &Batch, now_ms: i64) {
        let cleaned = cleanup.expected;
        let is_backup = batch.maintenance.contains(&Maintenance::Cleanup);
        self.journal.cleanup(now_ms, cleaned, is_backup);
        if cleanup.before.0 < cleanup.cutoff_ms
            && self.stop == StopPhase::Serving
            && !self.maintenance.contains(&Maintenance::CleanupRest)
        {
            // The cleanup was limited to keep the transaction short, so another one removes the
            // rest.
            self.maintenance.push(Maintenance::CleanupRest);
        }
        // A backup cleanup without mutations has no sender to whom the count could be sent.
        if !is_backup || !batch.mutations.is_empty() {
            self.unreported_removals += cleaned;
        }
    }
}
