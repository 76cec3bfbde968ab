//! Checks whether the files are still the ones that were opened.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::file_names::companions;
use super::lock::FileId;
use super::lost::{FileGone, Loss};
use super::overwritten::{Fault, States};
use super::wal::Log;

/// The ids of the log and of its index. `None` for a file that was not there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Companions([Option<FileId>; 2]);

impl Companions {
    pub(crate) fn beside(real: &Path) -> Self {
        Self(companions(real).map(|path| FileId::at(&path).unwrap_or(None)))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.0[0].is_some()
    }
}

/// How much of the log to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What is new since the last check.
    New,
    /// All of it.
    Whole,
}

/// Compares the files with the ones that were opened. Returns the number of hard links of the
/// database.
///
/// An error of the file system does not count as a loss.
pub(crate) fn check(
    path: &Path,
    real: &Path,
    file: &File,
    beside: Companions,
    log: Option<&Log>,
    states: &mut States,
    depth: Depth,
) -> Result<u64, FileGone> {
    let gone = |path: &Path, loss| FileGone {
        path: path.to_owned(),
        loss,
    };
    let Ok(opened) = file.metadata() else {
        return Ok(1);
    };
    match FileId::at(path) {
        _ if opened.nlink() == 0 => return Err(gone(path, Loss::Deleted)),
        Ok(None) => return Err(gone(path, Loss::MovedAway)),
        Ok(Some(found)) if found != FileId::of(&opened) => return Err(gone(path, Loss::Replaced)),
        Ok(Some(_)) | Err(_) => {}
    }
    // A file that is overwritten in place keeps its name and inode. Check this before the
    // companions: an operator copies a backup over the database and then deletes the log; from then
    // on no connection sees the old content any more.
    let is_at_rest = log.is_some_and(Log::is_at_rest);
    if let Some(fault) = states.look(file, is_at_rest) {
        return Err(gone(path, fault.into()));
    }
    for (path, known) in companions(real).iter().zip(beside.0) {
        match (FileId::at(path), known) {
            (Ok(None), Some(_)) => return Err(gone(path, Loss::Deleted)),
            (Ok(Some(found)), Some(known)) if found != known => {
                return Err(gone(path, Loss::Replaced));
            }
            _ => {}
        }
    }
    let fault = log.and_then(|log| {
        if depth == Depth::Whole {
            log.forget();
        }
        log.look()
    });
    if let Some(fault) = fault {
        let [path, _] = companions(real);
        return Err(gone(&path, fault.into()));
    }
    Ok(opened.nlink())
}

impl From<Fault> for Loss {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoDatabase | Fault::OtherLog => Self::Overwritten,
            Fault::OtherState => Self::OtherState,
            Fault::CutShort => Self::CutShort,
        }
    }
}
