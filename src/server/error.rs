//! Why a server does not start, or why it ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::server::open_files::TooFewFiles;
use crate::server::registry_keys::KeysError;
use crate::server::storage::{FilesLost, OpenError, StorageError};

/// Why the server did not start. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {addr} (LISTEN_ADDR)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The process may open too few files.
    #[error("cannot open the files of the server (HTTP_WORKERS={workers})")]
    OpenFiles {
        /// The number of HTTP threads.
        workers: usize,
        /// How many files could be opened.
        source: TooFewFiles,
    },
    /// The clock shows a time that is not plausible.
    #[error("the clock says {now}, which is implausible: set it to a time from 2020 to 2099")]
    Clock {
        /// The time that it shows.
        now: String,
    },
    /// The database cannot be used; the message says which file, why, and what to do.
    #[error("cannot open the database that DATABASE_URL names")]
    Open(#[from] OpenError),
    /// The registry's own keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database was opened, but could not be read.
    #[error("cannot read the database {path} (DATABASE_URL)")]
    Resume {
        /// The database file.
        path: PathBuf,
        /// What failed.
        source: DatabaseError,
    },
}

impl StartError {
    /// Whether a later start may succeed without a change by the operator: the address, the database,
    /// the disk or the clock was not ready.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Listen { source, .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::AddrInUse
                        | io::ErrorKind::AddrNotAvailable
                        | io::ErrorKind::NetworkDown
                        | io::ErrorKind::OutOfMemory
                        | io::ErrorKind::Interrupted
                ) || lacks_resource(source)
            }
            Self::OpenFiles { .. } | Self::Clock { .. } => true,
            Self::Open(error) => error.may_pass(),
            Self::Keys(_) => false,
            Self::Resume { source, .. } => source.may_pass(),
        }
    }
}

/// Whether the network device does not exist yet, or too many files are open.
fn lacks_resource(error: &io::Error) -> bool {
    let numbers = [Errno::NODEV, Errno::NFILE, Errno::MFILE, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|number| numbers.contains(&number))
}

/// A failure of the database or of its files. The message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(DatabaseFailure);

/// The errors of the storage. They are private, because they contain types of sqlx.
#[derive(Debug, thiserror::Error)]
enum DatabaseFailure {
    #[error(transparent)]
    Storage(StorageError),
    #[error(transparent)]
    FilesLost(FilesLost),
}

impl DatabaseError {
    pub(crate) fn storage(error: StorageError) -> Self {
        Self(DatabaseFailure::Storage(error))
    }

    pub(crate) fn files_lost(lost: FilesLost) -> Self {
        Self(DatabaseFailure::FilesLost(lost))
    }

    /// Whether a retry may succeed without a change by the operator.
    pub fn may_pass(&self) -> bool {
        match &self.0 {
            DatabaseFailure::Storage(error) => error.may_pass(),
            DatabaseFailure::FilesLost(_) => false,
        }
    }
}

impl RunError {
    /// Whether a start before an operator's help would serve older data than was saved.
    pub fn needs_operator(&self) -> bool {
        let Self::FilesLost(DatabaseError(failure)) = self else {
            return false;
        };
        matches!(
            failure,
            DatabaseFailure::FilesLost(FilesLost::Rescued { .. })
        )
    }
}

/// Why a running server failed, or did not end cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The actor panicked; what it had acknowledged is on disk.
    #[error("the registry's actor has stopped; start again to resume the leases")]
    ActorStopped,
    /// The database, its write-ahead log or the log's index was lost; the message says where the data
    /// was saved.
    #[error(transparent)]
    FilesLost(DatabaseError),
    /// The last writes or the checkpoint failed. What was acknowledged is on disk.
    #[error("the database could not be closed cleanly")]
    Close,
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[from] io::Error),
}
