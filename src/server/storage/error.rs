//! What can go wrong with the database.

use super::lost::FileGone;

/// A read or write that failed. Nothing was changed, except maybe by [`Unsettled`](Self::Unsettled).
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// A constraint or a trigger refused one of the rows; the data is still at its version, so
    /// that the rest can be tried without it.
    #[error("the database refuses a row: {0}")]
    Constraint(sqlx::Error),
    /// There is no room for what was to be written.
    #[error("the disk takes no more bytes (disk full or file size limit): {0}")]
    Full(sqlx::Error),
    /// The disk takes neither the changes nor what would take them back: a restart may find them.
    #[error("the disk neither takes a change nor lets it be taken back: {0}")]
    Unsettled(sqlx::Error),
    /// SQLite or the file system refused.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// The files are not the ones any more that were written.
    #[error("the database is lost: {0}")]
    Lost(FileGone),
}

/// SQLite's primary result codes, in the low byte of its extended ones.
pub(crate) mod code {
    pub(crate) const ERROR: u32 = 1;
    pub(crate) const BUSY: u32 = 5;
    pub(crate) const READ_ONLY: u32 = 8;
    pub(crate) const IO: u32 = 10;
    pub(crate) const CORRUPT: u32 = 11;
    pub(crate) const FULL: u32 = 13;
    pub(crate) const CANNOT_OPEN: u32 = 14;
    pub(crate) const TOO_BIG: u32 = 18;
    pub(crate) const CONSTRAINT: u32 = 19;
    pub(crate) const NOT_A_DATABASE: u32 = 26;
}

/// `SQLITE_IOERR_WRITE`, `_TRUNCATE` and `_SHMSIZE`: what a write over the file size limit ends in.
const GROWTH_CODES: [u32; 3] = [778, 1546, 4874];

/// The extended result code, if SQLite gave one.
fn extended_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The primary result code, if SQLite gave one.
pub(crate) fn code_of(error: &sqlx::Error) -> Option<u32> {
    extended_code(error).map(|code| code & 0xff)
}

/// Whether there was no room for what was to be written.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    let code = extended_code(error);
    code_of(error) == Some(code::FULL) || code.is_some_and(|code| GROWTH_CODES.contains(&code))
}

/// Whether a database that cannot be written now may be read meanwhile.
pub(crate) fn stops_writes(error: &sqlx::Error) -> bool {
    let codes = [
        code::BUSY,
        code::READ_ONLY,
        code::IO,
        code::FULL,
        code::CANNOT_OPEN,
    ];
    code_of(error).is_some_and(|code| codes.contains(&code))
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        if is_full(&error) {
            Self::Full(error)
        } else if code_of(&error) == Some(code::CONSTRAINT) {
            Self::Constraint(error)
        } else {
            Self::Database(error)
        }
    }
}

impl StorageError {
    /// Whether the same may succeed later without anybody's doing.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => {
                let code = code_of(error);
                code.is_some_and(|code| [code::IO, code::BUSY].contains(&code))
            }
        }
    }

    /// Whether a statement names what the database does not have.
    pub(crate) fn is_of_statement(&self) -> bool {
        matches!(self, Self::Database(error) if code_of(error) == Some(code::ERROR))
    }

    /// Whether SQLite finds that the file is no whole database.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Full(error)
            | Self::Constraint(error)
            | Self::Unsettled(error)
            | Self::Database(error) => {
                matches!(code_of(error), Some(code::CORRUPT | code::NOT_A_DATABASE))
            }
            Self::Lost(_) => false,
        }
    }

    /// Whether a commit that failed may yet stand in the write-ahead log.
    pub(crate) fn may_have_committed(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => code_of(error) == Some(code::IO),
        }
    }

    /// Whether a database that cannot be written now may be read meanwhile.
    pub(crate) fn stops_writes(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => stops_writes(error),
        }
    }
}
