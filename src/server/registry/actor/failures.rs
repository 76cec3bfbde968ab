//! What the actor does with a batch that was not written.

use super::registry_actor::RegistryActor;
use crate::protocol::PeerId;
use crate::server::registry::batch::Batch;
use crate::server::registry::error::RegistryError;
use crate::server::registry::journal;
use crate::server::registry::mutation::Mutation;
use crate::server::registry::state::Storage;
use crate::server::registry::view::MAX_REFUSED_IN_A_ROW;
use crate::server::storage::StorageError;

/// How long the actor waits after the database has refused a cleanup, in milliseconds.
const CLEANUP_PAUSE_MS: i64 = 60_000;

impl RegistryActor {
    /// Finds the mutation that a trigger or a check constraint refuses, so that the others succeed.
    /// First it tries the batch again without its cleanup, then each half of it.
    pub(crate) fn isolate(&mut self, mut batch: Batch, error: &StorageError) {
        let now_ms = self.clock.now_ms();
        {
            let mut state = self.view.write();
            state.end_write(false, now_ms);
            // The changes that time made were part of the failed transaction. A later one must
            // write them.
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
        for mutation in batch.mutations {
            self.journal.constraint(now_ms, mutation.peer_id(), error);
            if let (Mutation::Register(_), Some(id)) = (&mutation, mutation.peer_id()) {
                self.note_refused(id);
            }
            mutation.refuse(RegistryError::StorageUnavailable);
        }
    }

    /// Notes that the database refuses the registration of a peer. A few different peers without a
    /// success in between mean that it refuses everyone, although renewals succeed.
    fn note_refused(&self, id: &PeerId) {
        let refused = &mut self.view.write().refused_in_a_row;
        if refused.len() < MAX_REFUSED_IN_A_ROW && !refused.contains(id) {
            refused.push(id.clone());
        }
    }

    /// Refuses all mutations of a batch because the database takes no writes. Writes count as failed
    /// since `since_ms`, when the batch was planned, because the batch may have waited long for the
    /// database.
    pub(crate) fn fail(&mut self, batch: Batch, error: &StorageError, since_ms: i64) {
        let mut state = self.view.write();
        state.end_write(false, since_ms);
        if let Storage::Works(_) = state.storage {
            state.storage = Storage::Fails { since_ms };
            self.journal.degraded(since_ms, error);
        } else {
            journal::still_degraded(error);
        }
        drop(state);
        for mutation in batch.mutations {
            mutation.refuse(RegistryError::StorageUnavailable);
        }
    }
}
