//! The names of SQLite's other files.

use std::path::{Path, PathBuf};

/// The paths of the write-ahead log of the database at `real` and of the log's index.
pub(crate) fn companions(real: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|suffix| {
        let mut name = real.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
