//! Locks the database file for this process and makes it private.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::file_names::companions;
use super::open_error::OpenError;

/// Readable and writable by the owner only, because the database contains the ids of live TURN
/// sessions.
pub(crate) const PRIVATE: u32 = 0o600;

/// Identifies a file independently of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
        }
    }

    /// The id of the file at `path`; `None` if there is no such file.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(file) => Ok(Some(Self::of(&file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens and locks the file. Creates it if it does not exist.
///
/// The lock is on the file itself, so it also stops a second registry that opens the file under
/// another name. SQLite's own locks are not enough: two registries would write in turn, and each
/// would list peers that the other has removed. When this process closes any handle on the file,
/// the system drops SQLite's locks, so this handle must be closed last.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let file = open(path).map_err(|error| OpenError::of_io(path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::of_io(path, &error)),
    }
    let locked = file.metadata().map(|file| FileId::of(&file));
    let named = FileId::at(path);
    match (locked, named) {
        (Ok(locked), Ok(named)) if named == Some(locked) => Ok(file),
        (Err(error), _) | (_, Err(error)) => Err(OpenError::of_io(path, &error)),
        _ => Err(OpenError::Stalled {
            path: path.to_owned(),
            reason: "it was replaced while it was opened".to_owned(),
        }),
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a named pipe would block until its other end is opened.
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    let opened = File::options()
        .create(true)
        .truncate(false)
        // The file checks read its header while the registry runs.
        .read(true)
        .write(true)
        .mode(PRIVATE)
        .open(path);
    match opened {
        // The file exists but cannot be written: open it for reading only.
        Err(error) if fs::metadata(path).is_ok_and(|file| file.len() > 0) => {
            File::open(path).map_err(|_| error)
        }
        opened => opened,
    }
}

/// Removes other users' access to the database, its log and the index. Returns one notice for each
/// file that other users could access.
pub(crate) fn make_private(real: &Path) -> Vec<String> {
    let [wal, shm] = companions(real);
    [real.to_owned(), wal, shm]
        .iter()
        .filter_map(|path| {
            let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
            if mode & !PRIVATE == 0 {
                return None;
            }
            let path_shown = path.display();
            Some(
                match fs::set_permissions(path, Permissions::from_mode(PRIVATE)) {
                    Ok(()) => format!(
                        "{path_shown} was open to other users (mode {mode:03o}) and is now private \
                     (mode 600)"
                    ),
                    Err(error) => {
                        format!("{path_shown} is open to other users (mode {mode:03o}): {error}")
                    }
                },
            )
        })
        .collect()
}
