//! Whether the files are still the ones that were opened, and what to do if not.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;

use super::StorageError;
use super::lock::{FileId, PRIVATE, companions};
use crate::clock::rfc3339;

/// Files of this name tried before giving up, so that no rescue overwrites another.
const MAX_RESCUES: u32 = 100;

/// A file of the database was taken away while the registry ran; what is written from now on is
/// lost with the process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was {deed} while the registry ran")]
pub struct FileGone {
    /// The database, its write-ahead log or the index of that.
    pub path: PathBuf,
    /// What was done to it.
    pub deed: &'static str,
}

/// The end of a registry whose files were taken away.
#[derive(Debug, thiserror::Error)]
pub enum FilesLost {
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

/// The files beside the database, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Companions([Option<FileId>; 2]);

impl Companions {
    pub(super) fn beside(real: &Path) -> Self {
        Self(companions(real).map(|path| FileId::at(&path).unwrap_or(None)))
    }

    pub(super) fn is_known(&self) -> bool {
        self.0[0].is_some()
    }
}

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Compares the files with the ones that were opened. Returns how many names the database has.
///
/// A file system that gives no answer takes no file away.
pub(super) fn check(
    path: &Path,
    real: &Path,
    file: &File,
    beside: Companions,
) -> Result<u64, FileGone> {
    let gone = |path: &Path, deed| FileGone {
        path: path.to_owned(),
        deed,
    };
    let Ok(opened) = file.metadata() else {
        return Ok(1);
    };
    match FileId::at(path) {
        _ if opened.nlink() == 0 => return Err(gone(path, "deleted")),
        Ok(None) => return Err(gone(path, "moved away")),
        Ok(Some(found)) if found != FileId::of(&opened) => return Err(gone(path, "replaced")),
        Ok(Some(_)) | Err(_) => {}
    }
    // Truncated or overwritten where it lies, it keeps its name and number.
    let mut magic = [0; MAGIC.len()];
    if file
        .read_exact_at(&mut magic, 0)
        .is_ok_and(|()| magic != *MAGIC)
        || opened.len() == 0
    {
        return Err(gone(path, "emptied or overwritten"));
    }
    for (path, known) in companions(real).iter().zip(beside.0) {
        match (FileId::at(path), known) {
            (Ok(None), Some(_)) => return Err(gone(path, "deleted")),
            (Ok(Some(found)), Some(known)) if found != known => return Err(gone(path, "replaced")),
            _ => {}
        }
    }
    Ok(opened.nlink())
}

/// Writes all that `connection` sees to a new file beside the database at `real`.
pub(super) async fn rescue(
    connection: &mut SqliteConnection,
    real: &Path,
    now_ms: i64,
) -> Result<PathBuf, StorageError> {
    let target = create(real, now_ms).map_err(sqlx::Error::from)?;
    sqlx::query("VACUUM INTO ?")
        .bind(target.to_string_lossy().into_owned())
        .execute(connection)
        .await?;
    sync(&target).map_err(sqlx::Error::from)?;
    Ok(target)
}

/// Creates an empty file for a rescue, which others cannot read.
fn create(real: &Path, now_ms: i64) -> io::Result<PathBuf> {
    let stamp = rfc3339(now_ms)[..19].replace(['-', ':'], "");
    if let Some(folder) = real.parent() {
        fs::create_dir_all(folder)?;
    }
    for number in 1..=MAX_RESCUES {
        let mut name = real.as_os_str().to_owned();
        name.push(format!(".rescued-{stamp}Z"));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let target = PathBuf::from(name);
        let created = File::options()
            .create_new(true)
            .write(true)
            .mode(PRIVATE)
            .open(&target);
        match created {
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Brings a new file and its name to the disk.
fn sync(target: &Path) -> io::Result<()> {
    File::open(target)?.sync_all()?;
    match target.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
