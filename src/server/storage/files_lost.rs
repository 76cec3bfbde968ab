//! The error of a registry that ends because its files were lost.

use std::path::PathBuf;

use super::error::StorageError;
use super::lost::FileGone;

/// The registry ends because its files were lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesLost {
    /// Everything that the registry knew was saved to a new file.
    #[error(
        "{gone}; everything that was known was saved to {rescued}: move that file to where the \
         database was, without any -wal and -shm beside it, and start again"
    )]
    Rescued {
        /// The lost file.
        gone: FileGone,
        /// The new file.
        rescued: PathBuf,
    },
    /// The new file could not be written.
    #[error("{gone}; what was known could not be written to a new file: {error}")]
    NotRescued {
        /// The lost file.
        gone: FileGone,
        /// Why the new file could not be written.
        error: StorageError,
    },
}
