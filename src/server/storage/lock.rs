//! Takes the database file for this process, and keeps it from the eyes of others.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::open_error::OpenError;

/// For the owner alone: the database holds the ids of live TURN sessions.
pub(crate) const PRIVATE: u32 = 0o600;

/// Which file it is, whatever it is called.
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

    /// The file at `path`; `None` if there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(file) => Ok(Some(Self::of(&file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Opens the file, which is created if there is none, and locks it.
///
/// The lock is on the file itself, so a second registry is kept away by whatever name it calls the
/// file. SQLite's own locks would let both write in turn, and each would list peers that the other
/// has removed; and they are dropped as soon as this process closes any handle on the file, so this
/// one must be closed last.
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
    // To open a named pipe would wait for its other end.
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(io::Error::other("it is not a regular file"));
    }
    let opened = File::options()
        .create(true)
        .truncate(false)
        // Its first bytes are looked at while the registry runs.
        .read(true)
        .write(true)
        .mode(PRIVATE)
        .open(path);
    match opened {
        // It may be read meanwhile, if it is there.
        Err(error) if fs::metadata(path).is_ok_and(|file| file.len() > 0) => {
            File::open(path).map_err(|_| error)
        }
        opened => opened,
    }
}

/// The write-ahead log of the database at `real`, and the index of the log.
pub(crate) fn companions(real: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = real.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Keeps the database and what lies beside it from other users; says what was done about it.
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
