//! Where the one connection is while nobody uses it.

use std::path::Path;
use std::sync::Arc;

use super::access::{self, Access, Handle};
use super::files::Companions;
use super::lost::{Deed, FileGone};
use super::overwritten::{Log, States};
use super::{StorageError, settle};

/// The connection while nobody uses it. It is kept, since its `data_version` must be.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) connection: Option<Handle>,
    /// Counts the connections.
    pub(crate) generation: u64,
    pub(crate) access: Access,
    pub(crate) beside: Companions,
    /// Dropped after the connection is closed, see [`Log`].
    pub(crate) log: Option<Arc<Log>>,
    pub(crate) states: States,
    /// The number of the last transaction that was committed.
    pub(crate) committed: i64,
    /// The database cannot be used any more; see [`Store::give_up`](super::Store::give_up).
    pub(crate) lost: Option<FileGone>,
    pub(crate) is_closed: bool,
}

impl Slot {
    /// Takes the connection, so that it is gone, and its transaction undone, if the work on it is
    /// dropped half-way.
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

    /// Connects anew, which reads the log as a start would: one that was emptied has lost transactions.
    async fn connect(&mut self, real: &Path) -> Result<Handle, StorageError> {
        self.generation += 1;
        let connected = access::connect(real, self.access).await;
        let mut connection = connected.map_err(|error| self.judge(real, error.into()))?;
        match settle::stored_batch(&mut connection).await {
            Ok(Some(batch)) if batch < self.committed => {
                let _ = connection.close().await;
                Err(self.lose(real, Deed::OtherState))
            }
            Err(error) if error.is_damage() => {
                let _ = connection.close().await;
                Err(self.judge(real, error))
            }
            // Without the row nothing is known; what else is wrong the work itself will meet.
            _ => Ok(connection),
        }
    }

    /// Takes no more work, for what was done to the file at `path`.
    pub(crate) fn lose(&mut self, path: &Path, deed: Deed) -> StorageError {
        let gone = FileGone {
            path: path.to_owned(),
            deed,
        };
        let gone = self.lost.get_or_insert(gone);
        StorageError::Lost(gone.clone())
    }

    /// What an error of the database at `path` means: one in which SQLite finds damage is lost.
    pub(crate) fn judge(&mut self, path: &Path, error: StorageError) -> StorageError {
        match error {
            StorageError::Lost(gone) => self.lose(&gone.path, gone.deed),
            error if error.is_damage() => self.lose(path, Deed::Damaged),
            error => error,
        }
    }

    pub(crate) async fn put(&mut self, real: &Path, connection: Handle, is_sound: bool) {
        if !is_sound {
            // The last connection to close deletes the log, which the next one creates.
            self.beside = Companions::default();
            // That it may also fail to close adds nothing to the error at hand.
            let _ = connection.close().await;
            self.log = None;
            return;
        }
        self.connection = Some(connection);
        if self.access == Access::Full && !self.beside.is_known() {
            self.beside = Companions::beside(real);
            self.log = Log::beside(real).ok().map(Arc::new);
        }
    }
}
