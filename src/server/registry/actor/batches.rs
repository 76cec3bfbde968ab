//! How the actor writes a batch, and what it does once that is on disk.

use actix::{AsyncContext, Context};

use super::registry_actor::RegistryActor;
use crate::clock;
use crate::server::registry::batch::{Batch, Maintenance};
use crate::server::registry::messages::BatchFinished;
use crate::server::registry::mutation::Mutation;
use crate::server::registry::pulse::Phase;
use crate::server::registry::reply::{Committed, Receipt};
use crate::server::registry::tables;
use crate::server::storage::{Cleanup, StorageError};

/// The maximum time for which comparisons with the table put off cleanups, in milliseconds.
const MAX_RESYNC_MS: i64 = 5_000;

impl RegistryActor {
    /// Plans a batch and begins its transaction. A batch of refusals has nothing to write, but must
    /// not refuse what is in the table by now.
    pub(crate) fn plan_and_commit(&mut self, mut batch: Batch, ctx: &mut Context<Self>) {
        let now_ms = self.clock.now_ms();
        self.enter(Phase::Planning);
        // While somebody writes again and again, no comparison comes to its end. Then a cleanup is
        // tried all the same: if it meets other rows than it should, it fails, and is put off.
        let is_compared = match self.comparison.since_ms {
            Some(since_ms) => clock::machine_ms() - since_ms > MAX_RESYNC_MS,
            None => true,
        };
        let cleans_up = is_compared && now_ms >= self.no_cleanup_until_ms;
        let context = self.advance(now_ms, |state| {
            // From here on readers leave alone what is planned on.
            state.begin_write(now_ms);
            state.batch_context(now_ms, cleans_up)
        });
        let (relay_plan, rest) = {
            let state = self.view.read();
            batch.plan(&state.directory, &state.relay, context)
        };
        self.inbox.put_back(rest);
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

    /// Makes the state follow a transaction, and sends everyone in it a reply.
    pub(crate) fn apply(&mut self, batch: Batch) {
        let now_ms = batch.plan.changes.now_ms;
        if let Some(cleanup) = &batch.plan.changes.cleanup {
            self.note_cleanup(cleanup, &batch, now_ms);
        }
        let view = self.view.clone();
        let mut state = view.write();
        // In one with what follows: a reader in between would let time pass over what was planned.
        state.end_write(true, self.clock.now_ms());
        state.apply(&batch.plan);
        let news = state.take_news(now_ms);
        let receipt = Receipt {
            last_seen_ms: now_ms,
            expires_at_ms: state.expires_at_ms(now_ms),
            total_peers: state.directory.registered(),
            turn_servers: state.directory.turn_servers(),
            cleaned: self.untold,
        };
        for mutation in &batch.mutations {
            state.counters.count(mutation);
        }
        let mut committed = Committed::new(receipt, &state.relay);
        for mutation in batch.mutations {
            self.journal.mutation(now_ms, &mutation);
            mutation.reply(&mut committed);
        }
        self.untold = committed.untold();
        drop(state);
        self.log(news, now_ms);
    }

    fn note_cleanup(&mut self, cleanup: &Cleanup, batch: &Batch, now_ms: i64) {
        let cleaned = cleanup.expected;
        let is_backup = batch.maintenance.contains(&Maintenance::Cleanup);
        self.journal.cleanup(now_ms, cleaned, is_backup);
        if cleanup.before.0 < cleanup.cutoff_ms
            && !self.maintenance.contains(&Maintenance::CleanupRest)
        {
            // Some were left, so that nobody had to wait.
            self.maintenance.push(Maintenance::CleanupRest);
        }
        if !is_backup || !batch.mutations.is_empty() {
            self.untold += cleaned;
        }
    }
}
