//! How a registry ends whose files were taken away.

use std::path::PathBuf;

use super::error::StorageError;
use super::lost::FileGone;

/// The end of a registry whose files were taken away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesLost {
    /// All that the registry knew is in a new file.
    #[error(
        "{gone}; all that was known is in {rescued}: move that file to where the database was, \
         without any -wal and -shm beside it, and start again"
    )]
    Rescued {
        /// What was taken away.
        gone: FileGone,
        /// The new file.
        rescued: PathBuf,
    },
    /// A new file could not be written.
    #[error("{gone}; what was known could not be written to a new file: {error}")]
    NotRescued {
        /// What was taken away.
        gone: FileGone,
        /// Why there is no new file.
        error: StorageError,
    },
}
