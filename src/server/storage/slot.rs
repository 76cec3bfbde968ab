//! Where the one connection is while nobody uses it.

use std::path::Path;

use super::StorageError;
use super::access::{self, Access, Handle};
use super::files::Companions;

/// The connection while nobody uses it. It is kept, since its `data_version` must be.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) connection: Option<Handle>,
    /// Counts the connections.
    pub(super) generation: u64,
    pub(super) access: Access,
    pub(super) beside: Companions,
    pub(super) is_closed: bool,
}

impl Slot {
    /// Takes the connection, so that it is gone, and its transaction undone, if the work on it is
    /// dropped half-way.
    pub(super) async fn take(&mut self, real: &Path) -> Result<Handle, StorageError> {
        if self.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                self.generation += 1;
                Ok(access::connect(real, self.access).await?)
            }
        }
    }

    pub(super) async fn put(&mut self, real: &Path, connection: Handle, is_sound: bool) {
        if !is_sound {
            // The last connection to close deletes the log, which the next one creates.
            self.beside = Companions::default();
            // That it may also fail to close adds nothing to the error at hand.
            let _ = connection.close().await;
            return;
        }
        self.connection = Some(connection);
        if self.access == Access::Full && !self.beside.is_known() {
            self.beside = Companions::beside(real);
        }
    }
}
