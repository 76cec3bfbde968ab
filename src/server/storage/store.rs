//! The database as the registry uses it: one connection, used by one piece of work at a time.

mod files;
mod resync;
mod start;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::Mutex;

use super::access::{Access, Handle};
use super::files::{Companions, Depth};
use super::overwritten::States;
use super::slot::Slot;
use super::{
    Changes, CommitOutcome, DataVersion, Memory, StorageError, batch, open, settle, uptime,
};
use crate::server::model::Outage;

/// A file with at most this many free pages is not worth shrinking.
const MIN_FREE_PAGES: i64 = 1000;

/// The database; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    /// The path that the operator configured.
    path: PathBuf,
    /// The path without symbolic links. SQLite derives the names of its other files from it.
    real: PathBuf,
    slot: Mutex<Slot>,
    /// Holds the lock. Closed after the connection, see [`lock`](super::lock).
    file: File,
    last_batch: AtomicI64,
    timeout_ms: AtomicI64,
    has_other_names: AtomicBool,
    /// The size of the write-ahead log at the last warning about it; 0 if there was none.
    warned_log_bytes: AtomicU64,
    is_move_due: AtomicBool,
    is_moving_log: AtomicBool,
    notices: Vec<String>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.path).finish()
    }
}

/// The result of [`open`](super::open).
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) real: PathBuf,
    pub(crate) file: File,
    pub(crate) connection: Handle,
    pub(crate) access: Access,
    pub(crate) notices: Vec<String>,
}

impl Store {
    /// Opens the database at `path`. Creates the file and its folder if needed.
    ///
    /// # Errors
    /// Says which file prevents the start, why, and what to do. Never overwrites a file.
    pub(crate) async fn open(path: &Path) -> Result<Self, super::OpenError> {
        let opened = open::open(path).await?;
        Ok(Self(Arc::new(Inner {
            path: opened.path,
            real: opened.real,
            file: opened.file,
            slot: Mutex::new(Slot {
                connection: Some(opened.connection),
                generation: 0,
                access: opened.access,
                beside: Companions::default(),
                log: None,
                states: States::default(),
                committed: 0,
                lost: None,
                is_closed: false,
            }),
            last_batch: AtomicI64::new(0),
            timeout_ms: AtomicI64::new(0),
            has_other_names: AtomicBool::new(false),
            warned_log_bytes: AtomicU64::new(0),
            is_move_due: AtomicBool::new(false),
            is_moving_log: AtomicBool::new(false),
            notices: opened.notices,
        })))
    }

    /// The database file.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Notices for the operator about the state of the file at the start.
    pub(crate) fn notices(&self) -> &[String] {
        &self.0.notices
    }

    /// Writes `changes` in one transaction, unless the data is no longer at `version`.
    ///
    /// # Errors
    /// Nothing was changed, and a restart finds nothing of it. Only [`StorageError::Unsettled`]
    /// does not promise this.
    pub(crate) async fn commit(
        &self,
        changes: &Changes,
        version: DataVersion,
    ) -> Result<CommitOutcome, StorageError> {
        let mut slot = self.0.slot.lock().await;
        let mut connection = slot.take(&self.0.real).await?;
        // A commit behind a hole would be lost after a crash.
        if slot.log.as_ref().is_some_and(|log| !log.has_end())
            && let Err(gone) = self.inspect(&mut slot, Depth::New).await
        {
            slot.connection = Some(connection);
            return Err(StorageError::Lost(gone));
        }
        // The version comes from an earlier connection, so it cannot be compared with this one's.
        if version.connection != slot.generation {
            self.put(&mut slot, connection, true).await;
            return Ok(CommitOutcome::ChangedOutside);
        }
        let version = version.number;
        if !changes.is_written {
            let outcome = batch::check(&mut connection, version).await;
            self.put(&mut slot, connection, outcome.is_ok()).await;
            return outcome;
        }
        let number = self.next_batch();
        let outcome = batch::commit(&mut connection, changes, version, number).await;
        let outcome = match outcome {
            // Nothing was changed, and the connection is still good.
            Err(error @ StorageError::Constraint(_)) => {
                self.put(&mut slot, connection, true).await;
                Err(error)
            }
            Err(error) => {
                // If the files are gone, this connection may be the last that sees the data. Keep
                // it.
                if let Err(gone) = self.inspect(&mut slot, Depth::New).await {
                    slot.connection = Some(connection);
                    Err(StorageError::Lost(gone))
                } else if error.may_have_committed() {
                    self.settle(&mut slot, connection, number, error).await
                } else {
                    let error = slot.lost_if_damaged(self.path(), error);
                    self.put(&mut slot, connection, false).await;
                    Err(error)
                }
            }
            outcome => {
                self.put(&mut slot, connection, true).await;
                outcome
            }
        };
        if let Ok(CommitOutcome::Done) = outcome {
            slot.committed = number;
        }
        outcome
    }

    fn timeout_ms(&self) -> i64 {
        self.0.timeout_ms.load(Ordering::Relaxed)
    }

    fn next_batch(&self) -> i64 {
        self.0.last_batch.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Undoes the failed transaction of number `batch`. If that fails, finds out whether it is
    /// committed, and brings it to the disk if so.
    async fn settle(
        &self,
        slot: &mut Slot,
        mut connection: Handle,
        batch: i64,
        error: StorageError,
    ) -> Result<CommitOutcome, StorageError> {
        let taken_back = settle::take_back(&mut connection, self.next_batch()).await;
        self.put(slot, connection, false).await;
        if taken_back.is_ok() {
            return Err(error);
        }
        let truth = async {
            let mut connection = slot.take(&self.0.real).await?;
            // This is a new connection. It reads the log like a start does, so it shows whether the
            // commit is in the log.
            let is_committed = settle::last_batch(&mut connection).await? == batch;
            slot.watch(&self.0.real);
            let is_sound = self.inspect(slot, Depth::Whole).await.is_ok();
            let is_forced = is_committed && is_sound && settle::force(&mut connection).await?;
            // Close it: the next transaction must not rely on the data version of another
            // connection.
            self.put(slot, connection, false).await;
            Ok::<_, StorageError>((is_committed, is_forced))
        };
        match truth.await {
            Ok((false, _)) => Err(error),
            Ok((true, true)) => Ok(CommitOutcome::Done),
            Ok((true, false)) | Err(_) => Err(match error {
                StorageError::Full(cause) | StorageError::Database(cause) => {
                    StorageError::Unsettled(cause)
                }
                error => error,
            }),
        }
    }

    /// Continues the leases after writes have failed, and credits the time since then as an outage.
    /// `memory` replaces the content of tables that were dropped.
    pub(crate) async fn recover(
        &self,
        outage: &Outage,
        memory: impl FnOnce() -> Memory,
    ) -> Result<(), StorageError> {
        self.regain().await?;
        let batch = self.next_batch();
        self.run(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            resync::mend(&mut transaction, self.path(), memory).await?;
            let set_back_ms = outage.from_ms.saturating_sub(outage.until_ms);
            if set_back_ms > 0 {
                uptime::set_back(&mut transaction, set_back_ms, outage.until_ms).await?;
            }
            uptime::credit(&mut transaction, outage).await?;
            sqlx::query(uptime::MARK_ALIVE)
                .bind(outage.until_ms)
                .bind(batch)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await?;
        self.0.slot.lock().await.committed = batch;
        Ok(())
    }

    /// Opens a connection for writing, if the start could only open one for reading.
    async fn regain(&self) -> Result<(), StorageError> {
        let mut slot = self.0.slot.lock().await;
        if slot.access == Access::Full || slot.is_closed {
            return Ok(());
        }
        // The old connection may hold an exclusive lock.
        if let Some(connection) = slot.connection.take() {
            let _ = connection.close().await;
        }
        let connection = open::connect_to_write(&self.0.real).await?;
        slot.generation += 1;
        slot.access = Access::Full;
        slot.connection = Some(connection);
        Ok(())
    }

    /// Gives at most `max_pages` free pages back to the file system, if more than a quarter of the
    /// file and more than [`MIN_FREE_PAGES`] are free. Returns the number of pages.
    pub(crate) async fn vacuum_some(&self, max_pages: u32) -> Result<u64, StorageError> {
        self.run(async |connection| {
            let (pages, free): (i64, i64) = sqlx::query_as(
                "SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count",
            )
            .fetch_one(&mut *connection)
            .await?;
            if free <= MIN_FREE_PAGES || free <= pages / 4 {
                return Ok(0);
            }
            let vacuum = format!("PRAGMA incremental_vacuum({max_pages})");
            sqlx::query(sqlx::AssertSqlSafe(vacuum))
                .fetch_all(&mut *connection)
                .await?;
            let left: i64 = sqlx::query_scalar("PRAGMA freelist_count")
                .fetch_one(connection)
                .await?;
            Ok(u64::try_from(free - left).unwrap_or(0))
        })
        .await
    }

    /// Runs `work` on the connection. Closes the connection if the work fails: this undoes any open
    /// transaction, and the next work starts with a new connection.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut slot = self.0.slot.lock().await;
        let mut connection = slot.take(&self.0.real).await?;
        let result = work(&mut connection).await;
        let result = result.map_err(|error| slot.lost_if_damaged(self.path(), error));
        self.put(&mut slot, connection, result.is_ok()).await;
        result
    }

    /// Moves the write-ahead log into the database file, then closes both and releases the lock.
    ///
    /// # Errors
    /// If the files are lost, nothing is moved. [`Store::give_up`] then rescues the data.
    pub(crate) async fn close(&self) -> Result<(), StorageError> {
        let mut slot = self.0.slot.lock().await;
        let inspected = self.inspect(&mut slot, Depth::Whole).await;
        slot.is_closed = true;
        inspected.map_err(StorageError::Lost)?;
        let Some(mut connection) = slot.connection.take() else {
            return Ok(self.0.file.unlock().map_err(sqlx::Error::from)?);
        };
        let checkpoint = match slot.access {
            Access::Full | Access::First => settle::force(&mut connection).await.map(|_| ()),
            Access::Alone | Access::Immutable => Ok(()),
        };
        let closed = connection.close().await;
        slot.log = None;
        let unlocked = self.0.file.unlock().map_err(sqlx::Error::from);
        checkpoint?;
        closed?;
        Ok(unlocked?)
    }
}
