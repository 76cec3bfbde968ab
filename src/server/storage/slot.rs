//! Holds the one connection while no work uses it.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::access::{self, Access, Handle};
use super::files::Companions;
use super::lost::{FileGone, Loss};
use super::overwritten::States;
use super::wal::Log;
use super::{StorageError, settle};

/// Holds the connection while no work uses it. The connection is kept, because `data_version` is
/// meaningful within one connection only.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) connection: Option<Handle>,
    /// The number of the connection; each new one increments it.
    pub(crate) generation: u64,
    pub(crate) access: Access,
    pub(crate) beside: Companions,
    /// Drop it only after the connection is closed, see [`Log`].
    pub(crate) log: Option<Arc<Log>>,
    pub(crate) states: States,
    /// The number of the last committed transaction.
    pub(crate) committed: i64,
    /// Set once the database cannot be used any more; see
    /// [`Store::give_up`](super::Store::give_up).
    pub(crate) lost: Option<FileGone>,
    pub(crate) is_closed: bool,
}

impl Slot {
    /// Takes the connection out of the slot. If the work is dropped half-way, the connection is
    /// closed and its transaction undone.
    pub(crate) async fn take(&mut self, real: &Path) -> Result<Handle, StorageError> {
        if self.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        if let Some(gone) = &self.lost {
            return Err(StorageError::Lost(gone.clone()));
        }
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.connect(real).await,
        }
    }

    /// Opens a new connection, which reads the log as a start does. If the log was emptied meanwhile,
    /// committed transactions are missing, and the database counts as lost.
    async fn connect(&mut self, real: &Path) -> Result<Handle, StorageError> {
        self.generation += 1;
        let connected = access::connect(real, self.access).await;
        let mut connection = connected.map_err(|error| self.lost_if_damaged(real, error.into()))?;
        match settle::stored_batch(&mut connection).await {
            // Each transaction writes a higher number, so a lower one means an older state.
            Ok(Some(batch)) if batch < self.committed => {
                self.connection = Some(connection);
                Err(self.lose(real, Loss::OtherState))
            }
            Err(error) if error.is_damage() => {
                self.connection = Some(connection);
                Err(self.lost_if_damaged(real, error))
            }
            // Without the row the last number is unknown. Any other error will also make the caller's
            // work fail, so it is not handled here.
            _ => Ok(connection),
        }
    }

    /// Marks the database as lost. The first loss is kept.
    pub(crate) fn lose(&mut self, path: &Path, loss: Loss) -> StorageError {
        let gone = FileGone {
            path: path.to_owned(),
            loss,
        };
        let gone = self.lost.get_or_insert(gone);
        StorageError::Lost(gone.clone())
    }

    /// Converts an error of the database at `path`: if SQLite reports damage, the database is lost.
    pub(crate) fn lost_if_damaged(&mut self, path: &Path, error: StorageError) -> StorageError {
        match error {
            StorageError::Lost(gone) => self.lose(&gone.path, gone.loss),
            error if error.is_damage() => self.lose(path, Loss::Damaged),
            error => error,
        }
    }

    pub(crate) fn put(&mut self, real: &Path, connection: Handle) {
        self.connection = Some(connection);
        self.watch(real);
    }

    /// Closes a connection whose work has failed. Closing the last connection moves the log into the
    /// file and deletes it, so the caller checks the log first. If the database is lost, the
    /// connection stays open.
    pub(crate) async fn close(&mut self, connection: Handle) {
        if self.lost.is_some() {
            self.connection = Some(connection);
            return;
        }
        self.beside = Companions::default();
        // A failed close adds nothing to the error that made the connection unsound.
        let _ = connection.close().await;
        self.log = None;
    }

    /// Leaves the connection open until the process ends, because closing it would move a damaged
    /// log into the file.
    pub(crate) fn abandon(&mut self) {
        mem::forget(self.connection.take());
    }

    /// Remembers the log and its index. They exist only after the first use of the connection.
    pub(crate) fn watch(&mut self, real: &Path) {
        if self.access == Access::Full && !self.beside.is_known() {
            self.beside = Companions::beside(real);
            self.log = Log::beside(real).ok().map(Arc::new);
        }
    }
}

impl Drop for Slot {
    /// A store that was closed has no connection any more. Otherwise the registry has failed, and
    /// dropping the connection would move the log into the file.
    fn drop(&mut self) {
        if self.connection.is_none() {
            return;
        }
        let is_sound = self.log.as_ref().is_none_or(|log| {
            log.forget();
            log.look().is_none()
        });
        if self.lost.is_some() || !is_sound {
            self.abandon();
        }
    }
}
