//! What becomes known of a file that was taken away or overwritten.

use std::fmt;
use std::path::PathBuf;

/// A file of the database was taken away or overwritten while the registry ran; what is written from
/// now on is lost with the process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was {deed} while the registry ran")]
pub(crate) struct FileGone {
    /// The database, its write-ahead log or the index of that.
    pub path: PathBuf,
    /// What was done to it.
    pub deed: Deed,
}

/// What was done to a file of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
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
    pub(crate) fn spares_connection(self) -> bool {
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
