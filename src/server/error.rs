//! Why a server does not start, or why it ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The clock is not set.
    #[error("the clock says {now}, which cannot be: it must be set to a time from 2020 to 2099")]
    Clock {
        /// The time that it shows.
        now: String,
    },
    /// The database cannot be used; the message says which file, why, and what to do.
    #[error(transparent)]
    Open(#[from] OpenError),
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
    /// Whether a later start may succeed although nobody changes anything: the address, the
    /// database, the disk or the clock was not ready.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Listen { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
            ),
            Self::Clock { .. } => true,
            Self::Open(error) => error.may_pass(),
            Self::Resume { source, .. } => source.may_pass(),
        }
    }
}

/// A failure of the database or of its files. The message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(DatabaseFailure);

/// The errors of the storage, which name the types of its engine.
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

    /// Whether the same may succeed later although nobody changes anything.
    pub fn may_pass(&self) -> bool {
        match &self.0 {
            DatabaseFailure::Storage(error) => error.may_pass(),
            DatabaseFailure::FilesLost(_) => false,
        }
    }
}

/// Why a server that ran has failed, or did not end cleanly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The actor panicked; what it had acknowledged is on disk.
    #[error("the registry's actor has stopped; start again to take up the leases")]
    ActorStopped,
    /// The database, or a file beside it, was taken away; the message says where the data is.
    #[error(transparent)]
    FilesLost(DatabaseError),
    /// The last writes or the checkpoint failed; what was acknowledged is on disk all the same.
    #[error("the database could not be closed cleanly")]
    Close,
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[from] io::Error),
}
