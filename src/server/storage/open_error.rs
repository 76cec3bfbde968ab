//! Why a database could not be opened.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::error::{code, code_of, is_full};
use super::file_names::companions;

/// Why a database could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be created, read or written.
    #[error(
        "the database {path} cannot be opened for writing: {reason}; check that \
         its folder exists or can be created, and that this user may write there"
    )]
    Unwritable {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The file cannot be used now, but a later attempt may succeed.
    #[error(
        "the database {path} cannot be used at present: {reason}; if the disk is \
         full, make room; if it is mounted later, start then"
    )]
    Stalled {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Another process uses it.
    #[error(
        "the database {path} is in use by another peer-registry; stop that one, \
         or give this one a database of its own"
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a database of the registry.
    #[error(
        "{path} is not a database of peer-registry and was left as it is; move it \
         away, or name another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "the database {path} is damaged and was left as it is: {report}; restore a \
         backup, or move it away to start empty: live nodes register again by themselves"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        report: String,
    },
    /// The file was written by a later version.
    #[error(
        "the database {path} was written by a newer peer-registry (its schema \
         version {version} is unknown here) and was left as it is; run that version, or restore a \
         backup from before the upgrade"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The version of the unknown migration.
        version: i64,
    },
    /// A registry has lost this database and has written a newer one beside it.
    #[error(
        "the database {path} is older than {rescued}, which a peer-registry wrote when \
         it lost its database: move that file to {path}, remove {path}-wal and {path}-shm, and start \
         again; or, to start from {path} as it is, move the rescued file to another folder"
    )]
    Rescued {
        /// The database file.
        path: PathBuf,
        /// The newer file.
        rescued: PathBuf,
    },
    /// The program was built with a SQLite that can lose commits.
    #[error("SQLite {found} is too old: 3.51.3 or later is needed")]
    OldSqlite {
        /// The version found.
        found: String,
    },
}

/// Whether the file system may do the same later: it has room, it is mounted, its server responds, or
/// the process has a file descriptor left.
fn may_pass(error: &io::Error) -> bool {
    const PASSING: [Errno; 10] = [
        Errno::IO,
        Errno::NXIO,
        Errno::NODEV,
        Errno::NFILE,
        Errno::MFILE,
        Errno::NOLCK,
        Errno::NOTCONN,
        Errno::REMOTEIO,
        Errno::NOBUFS,
        Errno::AGAIN,
    ];
    let is_passing = Errno::from_io_error(error).is_some_and(|number| PASSING.contains(&number));
    is_passing
        || matches!(
            error.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::StaleNetworkFileHandle
                | ErrorKind::NotFound
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::ResourceBusy
                | ErrorKind::Interrupted
                | ErrorKind::OutOfMemory
        )
}

impl OpenError {
    /// Whether a later start may succeed without an operator's help.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Stalled { .. } | Self::InUse { .. })
    }

    /// Converts an error of the file system.
    pub(crate) fn of_io(path: &Path, error: &io::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        if may_pass(error) {
            Self::Stalled { path, reason }
        } else {
            Self::Unwritable { path, reason }
        }
    }

    /// Converts an error of SQLite.
    pub(crate) fn of_sqlite(path: &Path, error: &sqlx::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match code_of(error) {
            Some(code::CORRUPT) => Self::Damaged {
                path,
                report: reason,
            },
            Some(code::NOT_A_DATABASE) => Self::Foreign { path },
            Some(code::IO | code::BUSY) => Self::Stalled { path, reason },
            Some(code::CANNOT_OPEN | code::READ_ONLY) => match cause(&path) {
                Some(cause) => Self::of_io(&path, &cause),
                // Nothing prevents it any more.
                None => Self::Stalled { path, reason },
            },
            _ if is_full(error) => Self::Stalled { path, reason },
            _ => Self::Unwritable { path, reason },
        }
    }
}

/// The files that SQLite has open at a time: the database, its log, the index, and a folder.
const SQLITE_FILES: usize = 4;

/// Why the file system refuses SQLite, which does not say so itself: it has one code for a folder that
/// forbids writing, for a file system that is read-only, and for too many open files.
fn cause(path: &Path) -> Option<io::Error> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let parent = real.parent().filter(|folder| *folder != Path::new(""));
    let folder = parent.unwrap_or(Path::new("."));
    // The folder and not the files: closing a handle on them would drop SQLite's locks.
    let handles = (0..SQLITE_FILES).map(|_| File::open(folder));
    if let Err(error) = handles.collect::<io::Result<Vec<_>>>() {
        return Some(error);
    }
    let [log, index] = companions(&real);
    for path in [&real, &log, &index] {
        if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
            let path = path.display();
            return Some(io::Error::other(format!("{path} is not a regular file")));
        }
    }
    let writable = |path: &Path| access(path, Access::WRITE_OK).map_err(io::Error::from);
    let refused = [folder, &real, &log, &index].map(|path| writable(path).err());
    let mut refused = refused.into_iter().flatten();
    refused.find(|error| error.kind() != ErrorKind::NotFound)
}
