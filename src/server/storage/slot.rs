//! Holds the one connection while no work uses it.

use std::path::Path;
use std::sync::Arc;

use super::access::{self, Access, Handle};
use super::files::Companions;
use super::lost::{FileGone, Loss};
use super::overwritten::{Log, States};
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
                let _ = connection.close().await;
                Err(self.lose(real, Loss::OtherState))
            }
            Err(error) if error.is_damage() => {
                let _ = connection.close().await;
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

    pub(crate) async fn put(&mut self, real: &Path, connection: Handle, is_sound: bool) {
        if !is_sound {
            // Closing the last connection deletes the log, and the next connection creates a new
            // one.
            self.beside = Companions::default();
            // A failed close adds nothing to the error that made the connection unsound.
            let _ = connection.close().await;
            self.log = None;
            return;
        }
        self.connection = Some(connection);
        // The log and its index exist only after the first use of the connection.
        if self.access == Access::Full && !self.beside.is_known() {
            self.beside = Companions::beside(real);
            self.log = Log::beside(real).ok().map(Arc::new);
        }
    }
}
