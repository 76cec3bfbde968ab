//! How the actor compares the table with the directory while it continues to write.

use actix::{AsyncContext, Context, Handler, Message};

use super::registry_actor::RegistryActor;
use crate::clock;
use crate::protocol::PeerId;
use crate::server::registry::batch::Batch;
use crate::server::registry::journal;
use crate::server::registry::resync::{self, Resync, SLICE_ROWS};
use crate::server::registry::state::{Changed, Storage};
use crate::server::storage::{PeerRows, StorageError, Store};

/// A table of at most this many rows is compared completely before the next batch.
const SMALL_TABLE_ROWS: usize = 2_000;

/// Reports the rows that were read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct RowsRead {
    sought: RowsToRead,
    result: Result<PeerRows, StorageError>,
}

/// The rows to read.
#[derive(Debug)]
enum RowsToRead {
    /// The rows of a batch's peers. The batch is written next.
    OfBatch(Box<Batch>, Vec<PeerId>),
    /// The next rows in order of their keys.
    Next,
    /// No rows. This step searches some parts of the directory for peers without a row.
    Nothing { part: usize },
}

impl RegistryActor {
    /// Begins to compare the table with the directory. The batch is planned again afterwards.
    pub(crate) fn begin_resync(&mut self, changed: Changed, batch: Batch) {
        let now_ms = self.clock.now_ms();
        let mut state = self.view.write();
        state.end_write(false, now_ms);
        let (peers, credited) = (state.directory.registered(), changed.credited);
        // A comparison under way continues, and another one follows it. If each change started it
        // from the first row again, it might never end.
        self.comparison.is_stale = self.comparison.step.is_some();
        state.begin_resync(changed, now_ms, !self.comparison.is_stale);
        drop(state);
        self.journal.changed(now_ms, peers, credited);
        self.comparison.step.get_or_insert_with(Resync::new);
        self.comparison
            .since_ms
            .get_or_insert_with(clock::machine_ms);
        self.retried.push_front(batch);
        self.comparison.is_next = true;
    }

    /// Runs one step of the comparison.
    pub(crate) fn step_resync(&mut self, step: Resync, ctx: &mut Context<Self>) {
        self.comparison.is_next = false;
        match step {
            Resync::Rows { after } => {
                let now_ms = self.clock.now_ms();
                self.read(RowsToRead::Next, ctx, async move |store| {
                    store.read_rows(now_ms, after, SLICE_ROWS).await
                });
            }
            Resync::Peers { part } => self.read(RowsToRead::Nothing { part }, ctx, async |_| {
                // Let other tasks on this thread run between two steps.
                tokio::task::yield_now().await;
                Ok(PeerRows::default())
            }),
        }
    }

    /// Reads the rows of a batch's peers before the batch is planned.
    pub(crate) fn refresh(&mut self, batch: Batch, ctx: &mut Context<Self>) {
        self.comparison.is_next = true;
        let ids = resync::peers_of(&batch);
        let sought = RowsToRead::OfBatch(Box::new(batch), ids.clone());
        let now_ms = self.clock.now_ms();
        self.read(sought, ctx, async move |store| {
            store.read_peers(now_ms, &ids).await
        });
    }

    fn read<F>(&mut self, sought: RowsToRead, ctx: &mut Context<Self>, read: F)
    where
        F: AsyncFnOnce(Store) -> Result<PeerRows, StorageError> + 'static,
    {
        self.begin_io();
        let (store, registry) = (self.store.clone(), ctx.address());
        actix::spawn(async move {
            let result = read(store).await;
            registry.do_send(RowsRead { sought, result });
        });
    }

    /// Updates the directory from the rows that were read. A small table is finished at once: an
    /// operator who has changed it sees the change in the next response.
    fn follow_rows(&mut self, rows: &PeerRows) {
        let mut state = self.view.write();
        let mut next = Some(resync::follow_rows(&mut state, rows));
        if state.directory.registered() <= SMALL_TABLE_ROWS {
            while let Some(Resync::Peers { part }) = next {
                next = resync::remove_unknown(&mut state, part);
            }
        }
        drop(state);
        self.end_step(next);
    }

    fn end_step(&mut self, next: Option<Resync>) {
        self.comparison.step = next;
        // The table changed during the comparison, possibly in rows that were compared before, so
        // everything is compared once more.
        if next.is_none() && std::mem::take(&mut self.comparison.is_stale) {
            self.view.write().directory.begin_sweep(0);
            self.comparison.step = Some(Resync::new());
        } else if next.is_none() {
            self.comparison.since_ms = None;
            let mut state = self.view.write();
            // Only now is it certain which TURN servers are no longer registered.
            state.end_sessions_on_missing(self.clock.now_ms());
            let peers = state.directory.registered();
            drop(state);
            self.journal.compared(self.clock.now_ms(), peers);
        }
    }

    /// Handles a failed read. A new comparison begins once the database works again.
    fn fail_resync(&mut self, sought: RowsToRead, error: &StorageError) {
        self.comparison.step = None;
        self.comparison.is_stale = false;
        let since_ms = self.clock.now_ms();
        match sought {
            RowsToRead::OfBatch(batch, _) => self.fail(*batch, error, since_ms),
            RowsToRead::Next | RowsToRead::Nothing { .. } => {
                self.view.write().storage = Storage::Fails { since_ms };
                self.journal.degraded(since_ms, error);
            }
        }
    }
}

impl Handler<RowsRead> for RegistryActor {
    type Result = ();

    fn handle(&mut self, message: RowsRead, ctx: &mut Self::Context) {
        self.end_io();
        let RowsRead { sought, result } = message;
        if let Ok(rows) = &result {
            journal::set_aside(&rows.set_aside);
            self.view.write().quarantined += rows.set_aside.len() as u64;
        }
        match (sought, result) {
            (sought, Err(error)) => self.fail_resync(sought, &error),
            (RowsToRead::OfBatch(batch, ids), Ok(rows)) => {
                resync::follow_peers(&mut self.view.write(), &ids, &rows.peers);
                self.plan_and_commit(*batch, ctx);
            }
            (RowsToRead::Next, Ok(rows)) => self.follow_rows(&rows),
            (RowsToRead::Nothing { part }, Ok(_)) => {
                let next = resync::remove_unknown(&mut self.view.write(), part);
                self.end_step(next);
            }
        }
        self.go_on(ctx);
    }
}
