//! Errors of the database.

use super::lost::FileGone;

/// A read or write that failed. Nothing was changed; only [`Unsettled`](Self::Unsettled) does not
/// promise this.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// A constraint or a trigger refused one of the rows. The data is still at its version, so the
    /// caller can retry the other rows.
    #[error("the database refuses a row: {0}")]
    Constraint(sqlx::Error),
    /// The disk is full, or the file has reached a size limit.
    #[error("the disk takes no more bytes (disk full or file size limit): {0}")]
    Full(sqlx::Error),
    /// The disk accepts neither the commit nor the write that would undo it. A restart may find the
    /// commit.
    #[error("the disk accepts neither a change nor the write that would undo it: {0}")]
    Unsettled(sqlx::Error),
    /// SQLite or the file system failed.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// The files are no longer the ones that the registry wrote.
    #[error("the database is lost: {0}")]
    Lost(FileGone),
}

/// SQLite's primary result codes: the low byte of the extended ones.
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

/// `SQLITE_IOERR_WRITE`, `_TRUNCATE` and `_SHMSIZE`: the errors of a write beyond the file size
/// limit.
const GROWTH_CODES: [u32; 3] = [778, 1546, 4874];

/// The extended result code, if SQLite gave one.
fn extended_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The primary result code, if SQLite gave one.
pub(crate) fn code_of(error: &sqlx::Error) -> Option<u32> {
    extended_code(error).map(|code| code & 0xff)
}

/// Whether the disk is full or the file has reached a size limit.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    let code = extended_code(error);
    code_of(error) == Some(code::FULL) || code.is_some_and(|code| GROWTH_CODES.contains(&code))
}

/// Whether the error means that the database cannot be written now but may still be readable.
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
    /// Whether a retry may succeed without an operator's help. The database was opened before, so a file
    /// that cannot be opened now may be one too many, or on a disk that has just become read-only.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => {
                let code = code_of(error);
                let passing = [code::IO, code::BUSY, code::CANNOT_OPEN, code::READ_ONLY];
                code.is_some_and(|code| passing.contains(&code))
            }
        }
    }

    /// Whether SQLite rejected the statement itself, for example because it names a table or column
    /// that the database does not have.
    pub(crate) fn is_of_statement(&self) -> bool {
        matches!(self, Self::Database(error) if code_of(error) == Some(code::ERROR))
    }

    /// Whether SQLite reports that the file is damaged or not a database.
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

    /// Whether the write-ahead log may contain the failed commit.
    pub(crate) fn may_have_committed(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => code_of(error) == Some(code::IO),
        }
    }

    /// Whether the database cannot be written now but may still be readable.
    pub(crate) fn stops_writes(&self) -> bool {
        match self {
            Self::Constraint(_) | Self::Lost(_) => false,
            Self::Full(_) | Self::Unsettled(_) => true,
            Self::Database(error) => stops_writes(error),
        }
    }
}
