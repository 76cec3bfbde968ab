//! Why a server does not start, or ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::server::storage::{FilesLost, OpenError, StorageError};

/// Why the server did not start. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not this machine's.
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
        /// What it says.
        now: String,
    },
    /// The database cannot be used; the message says which file, why, and what to do.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database was opened and then failed.
    #[error("cannot read the database {path} (DATABASE_URL)")]
    Resume {
        /// The database file.
        path: PathBuf,
        /// What failed.
        source: StorageError,
    },
}

impl StartError {
    /// Whether a later start may succeed without anybody's doing: the address, the database, the
    /// disk or the clock was not ready.
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

/// Why a server that ran came to an end other than the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The actor panicked; what it had acknowledged is on disk.
    #[error("the registry's actor has stopped; start again to take up the leases")]
    ActorStopped,
    /// The database, or a file beside it, was taken away; the message says where the data is.
    #[error(transparent)]
    FilesLost(#[from] FilesLost),
    /// The last writes or the checkpoint failed; what was acknowledged is on disk all the same.
    #[error("the database could not be closed cleanly")]
    Close,
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[from] io::Error),
}
