//! Which file was lost, and how.

use std::fmt;
use std::path::PathBuf;

/// A file of the database was removed or overwritten while the registry ran. Everything written
/// from then on is lost when the process ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was {loss} while the registry ran")]
pub(crate) struct FileGone {
    /// The database, its write-ahead log or the log's index.
    pub path: PathBuf,
    /// What happened to it.
    pub loss: Loss,
}

/// What happened to a file of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It has no name any more.
    Deleted,
    /// It has another name now.
    MovedAway,
    /// Another file has its name.
    Replaced,
    /// The database file does not start like a database any more, or the log does not match its
    /// index.
    Overwritten,
    /// It contains another database, or an older state of this one.
    OtherState,
    /// Its end is missing.
    CutShort,
    /// SQLite cannot read its pages.
    Damaged,
    /// The table `peers` was dropped.
    WithoutPeers,
}

impl Loss {
    /// Whether the open connection still sees everything that was committed.
    pub(crate) fn leaves_connection_usable(self) -> bool {
        matches!(self, Self::Deleted | Self::MovedAway | Self::Replaced)
    }
}

impl fmt::Display for Loss {
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
