//! Whether the files are still the ones that were opened, and what to do if not.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::StorageError;
use super::lock::{FileId, companions};
use super::overwritten::{Fault, Log, States};

/// A file of the database was taken away or overwritten while the registry ran; what is written from
/// now on is lost with the process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was {deed} while the registry ran")]
pub struct FileGone {
    /// The database, its write-ahead log or the index of that.
    pub path: PathBuf,
    /// What was done to it.
    pub deed: Deed,
}

/// What was done to a file of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It has no name any more.
    Deleted,
    /// It has another name.
    MovedAway,
    /// Another file has its name.
    Replaced,
    /// Its bytes are no database any more, or not the log that they were.
    Overwritten,
    /// Its bytes are another database, or an older state of this one.
    OtherState,
    /// Its end is missing.
    CutShort,
    /// SQLite cannot read its pages.
    Damaged,
    /// The table of peers was dropped.
    WithoutPeers,
}

impl Deed {
    /// Whether a connection that was opened before still sees all that was committed.
    pub(super) fn spares_connection(self) -> bool {
        matches!(self, Self::Deleted | Self::MovedAway | Self::Replaced)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "deleted",
            Self::MovedAway => "moved away",
            Self::Replaced => "replaced",
            Self::Overwritten => "emptied or overwritten",
            Self::OtherState => "overwritten by an older copy or another database",
            Self::CutShort => "cut short",
            Self::Damaged => "damaged",
            Self::WithoutPeers => "left without its table peers",
        })
    }
}

impl From<Fault> for Deed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoDatabase | Fault::OtherLog => Self::Overwritten,
            Fault::OtherState => Self::OtherState,
            Fault::CutShort => Self::CutShort,
        }
    }
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

/// How much of the log is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Its beginning and its end.
    Ends,
    /// All that is not in the file.
    Whole,
}

/// Compares the files with the ones that were opened. Returns how many names the database has.
///
/// A file system that gives no answer takes no file away.
pub(super) fn check(
    path: &Path,
    real: &Path,
    file: &File,
    beside: Companions,
    log: Option<&Log>,
    states: &mut States,
    depth: Depth,
) -> Result<u64, FileGone> {
    let gone = |path: &Path, deed| FileGone {
        path: path.to_owned(),
        deed,
    };
    let Ok(opened) = file.metadata() else {
        return Ok(1);
    };
    match FileId::at(path) {
        _ if opened.nlink() == 0 => return Err(gone(path, Deed::Deleted)),
        Ok(None) => return Err(gone(path, Deed::MovedAway)),
        Ok(Some(found)) if found != FileId::of(&opened) => return Err(gone(path, Deed::Replaced)),
        Ok(Some(_)) | Err(_) => {}
    }
    // Overwritten where it lies, it keeps its name and number. This comes first, since whoever copies
    // a backup over it deletes the log afterwards, and then no connection sees the old content.
    let is_at_rest = log.is_some_and(Log::is_at_rest);
    if let Some(fault) = states.look(file, is_at_rest) {
        return Err(gone(path, fault.into()));
    }
    for (path, known) in companions(real).iter().zip(beside.0) {
        match (FileId::at(path), known) {
            (Ok(None), Some(_)) => return Err(gone(path, Deed::Deleted)),
            (Ok(Some(found)), Some(known)) if found != known => {
                return Err(gone(path, Deed::Replaced));
            }
            _ => {}
        }
    }
    let fault = log.and_then(|log| match depth {
        Depth::Ends => log.look(),
        Depth::Whole => log.look().or_else(|| log.look_through()),
    });
    if let Some(fault) = fault {
        let [path, _] = companions(real);
        return Err(gone(&path, fault.into()));
    }
    Ok(opened.nlink())
}
