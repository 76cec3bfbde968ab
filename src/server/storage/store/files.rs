//! Checks the files, moves the log, and rescues the data when the files are lost.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use log::{info, warn};
use sqlx::SqliteConnection;

use super::Store;
use crate::server::model::StoredPeer;
use crate::server::storage::access::{Access, Handle};
use crate::server::storage::file_names::companions;
use crate::server::storage::files::{self, Depth};
use crate::server::storage::overwritten::States;
use crate::server::storage::slot::Slot;
use crate::server::storage::{FileGone, FilesLost, RescueData, StorageError, rescue, settle};

impl Store {
    /// Compares the files with the ones that were opened, and their content with what was written.
    /// Returns the size of the write-ahead log, and warns if it exceeds `log_warning_bytes`.
    ///
    /// # Errors
    /// If a file is lost, everything written from now on is lost too; see [`Store::give_up`].
    pub(crate) async fn check_files(&self, log_warning_bytes: u64) -> Result<u64, FileGone> {
        self.read_ahead(Depth::New).await;
        // Keep the lock: opening a new connection may replace the log and its index.
        let mut slot = self.0.slot.lock().await;
        let names = self.inspect(&mut slot, Depth::New).await?;
        drop(slot);
        if names > 1 && !self.0.has_other_names.swap(true, Ordering::Relaxed) {
            let path = self.path().display();
            warn!("the database {path} has {names} names (hard links), none of which is a backup");
        }
        let [log, _] = companions(&self.0.real);
        let log_bytes = fs::metadata(&log).map_or(0, |log| log.len());
        self.watch_log(&log, log_bytes, log_warning_bytes);
        Ok(log_bytes)
    }

    /// Warns when the write-ahead log exceeds `warning_bytes`, and each time it has doubled since.
    fn watch_log(&self, log: &Path, bytes: u64, warning_bytes: u64) {
        let warned = &self.0.warned_log_bytes;
        let (log, mib) = (log.display(), bytes >> 20);
        match warned.load(Ordering::Relaxed) {
            before if bytes >= warning_bytes && bytes / 2 >= before => {
                warned.store(bytes, Ordering::Relaxed);
                warn!(
                    "the write-ahead log {log} has grown to {mib} MiB: another process holds an old \
                     state of the database, e.g. a forgotten sqlite3 shell in a transaction or a \
                     backup that hangs; end it (fuser {log} names it), before the disk is full"
                );
            }
            before if before > 0 && bytes < warning_bytes => {
                warned.store(0, Ordering::Relaxed);
                info!("the write-ahead log {log} is small again ({mib} MiB)");
            }
            _ => {}
        }
    }

    /// Checks the files. A loss is final. Returns the number of hard links of the database.
    pub(crate) async fn inspect(&self, slot: &mut Slot, depth: Depth) -> Result<u64, FileGone> {
        if let Some(gone) = &slot.lost {
            return Err(gone.clone());
        }
        if slot.is_closed {
            return Ok(1);
        }
        let (inner, beside, log) = (Arc::clone(&self.0), slot.beside, slot.log.clone());
        let mut states = slot.states;
        let checked = tokio::task::spawn_blocking(move || {
            let log = log.as_deref();
            let names = files::check(
                &inner.path,
                &inner.real,
                &inner.file,
                beside,
                log,
                &mut states,
                depth,
            )?;
            Ok((names, states))
        })
        .await;
        // A check that panicked proves nothing.
        match checked.unwrap_or(Ok((1, slot.states))) {
            Ok((names, states)) => {
                slot.states = states;
                Ok(names)
            }
            Err(gone) => {
                slot.lost = Some(FileGone::clone(&gone));
                Err(gone)
            }
        }
    }

    /// Verifies frames of the log without the lock, so that commits do not wait for it.
    async fn read_ahead(&self, depth: Depth) {
        let log = self.0.slot.lock().await.log.clone();
        if let Some(log) = log {
            let read = move || log.read_ahead(depth == Depth::Whole);
            // Its result is in the log. If it panicked, the next check reads more.
            let _ = tokio::task::spawn_blocking(read).await;
        }
    }

    /// Refuses all further work. When this returns, the result of every commit has been reported.
    pub(crate) async fn refuse_work(&self) {
        self.0.slot.lock().await.is_closed = true;
    }

    /// Writes everything that is known to a new file beside the database, when files are lost.
    /// Copies what the connection still sees; if that is incomplete, writes from memory.
    pub(crate) async fn give_up<P>(&self, gone: FileGone, known: RescueData<P>) -> FilesLost
    where
        P: FnMut() -> Option<Vec<StoredPeer>>,
    {
        let mut slot = self.0.slot.lock().await;
        slot.is_closed = true;
        let real = &self.0.real;
        if gone.loss.leaves_connection_usable()
            && let Some(mut connection) = slot.connection.take()
        {
            let stored = settle::stored_batch(&mut connection).await;
            let copied = match stored {
                Ok(Some(batch)) if batch >= slot.committed => {
                    rescue::copy(&mut connection, real, known.now_ms).await
                }
                Ok(_) => Err(sqlx::Error::RowNotFound.into()),
                Err(error) => Err(error),
            };
            slot.connection = Some(connection);
            match copied {
                Ok(rescued) => {
                    slot.abandon();
                    return FilesLost::Rescued { gone, rescued };
                }
                Err(error) => warn!("cannot read the lost database, writing from memory: {error}"),
            }
        }
        slot.abandon();
        // Writing from memory may take a while. Without the lock, waiting work is refused at once.
        drop(slot);
        match rescue::write(real, self.timeout_ms(), known).await {
            Ok(rescued) => FilesLost::Rescued { gone, rescued },
            Err(error) => FilesLost::NotRescued { gone, error },
        }
    }

    /// Moves the write-ahead log into the database file as far as readers allow, without waiting
    /// for them. Gives the state of the file a new number.
    pub(crate) async fn checkpoint(&self) -> Result<(), StorageError> {
        if self.0.is_moving_log.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        // A frame may have been damaged after it was verified, so all are verified again.
        self.read_ahead(Depth::Whole).await;
        let mut slot = self.0.slot.lock().await;
        let moved = self.move_log(&mut slot, Depth::New).await;
        self.0.is_moving_log.store(false, Ordering::Relaxed);
        moved
    }

    /// Checks the files and moves the log. A loss is remembered in the slot.
    async fn move_log(&self, slot: &mut Slot, depth: Depth) -> Result<(), StorageError> {
        // A store that was closed has moved its log already.
        if slot.access != Access::Full || slot.is_closed {
            return Ok(());
        }
        let mut connection = slot.take(&self.0.real).await?;
        // If the file was replaced, pages moved into it would make it look like ours. Damaged pages
        // in the log would damage the file.
        if let Err(gone) = self.inspect(slot, depth).await {
            slot.connection = Some(connection);
            return Err(StorageError::Lost(gone));
        }
        let mut states = slot.states;
        let moved = number_and_move(&mut connection, &mut states).await;
        // Even after an error, because the number may be in the log.
        slot.states = states;
        if let Some(log) = &slot.log {
            log.note_move();
        }
        if let Err(error) = moved {
            let error = slot.lost_if_damaged(self.path(), error);
            self.retire(slot, connection).await;
            return Err(error);
        }
        slot.put(&self.0.real, connection);
        // The log may have been damaged while it was moved.
        let checked = self.inspect(slot, Depth::New).await;
        checked.map(drop).map_err(StorageError::Lost)
    }

    /// Puts the connection back after its work. If the work failed, closes the connection.
    pub(crate) async fn put(&self, slot: &mut Slot, connection: Handle, is_sound: bool) {
        if !is_sound {
            self.retire(slot, connection).await;
            return;
        }
        slot.put(&self.0.real, connection);
        let due_moves = slot.log.as_ref().map_or(0, |log| log.due_moves());
        self.0
            .is_move_due
            .fetch_or(due_moves > 0, Ordering::Relaxed);
        // The owner of the store has not moved the log in time, or this is a start.
        if due_moves > 1
            && let Err(error) = self.move_log(slot, Depth::Whole).await
        {
            warn!("cannot move the write-ahead log into the database: {error}");
        }
    }

    /// Checks the log, then closes a connection whose work has failed.
    async fn retire(&self, slot: &mut Slot, connection: Handle) {
        // A loss is remembered in the slot, and the connection is then not closed.
        let _ = self.inspect(slot, Depth::Whole).await;
        slot.close(connection).await;
    }

    /// Whether the log has become so long since the last call that [`Store::checkpoint`] should
    /// move it.
    pub(crate) fn take_move_due(&self) -> bool {
        self.0.is_move_due.swap(false, Ordering::Relaxed)
    }
}

async fn number_and_move(
    connection: &mut SqliteConnection,
    states: &mut States,
) -> Result<(), StorageError> {
    let found = if states.has_assigned() {
        0
    } else {
        sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *connection)
            .await?
    };
    let number = format!("PRAGMA user_version = {}", states.next(found));
    sqlx::query(sqlx::AssertSqlSafe(number))
        .execute(&mut *connection)
        .await?;
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
        .fetch_all(connection)
        .await?;
    Ok(())
}
