//! The path of the database file, from its setting.

use std::path::PathBuf;
use std::str::FromStr;

/// The path in `sqlite://<path>`.
pub(crate) struct DatabasePath(PathBuf);

impl From<DatabasePath> for PathBuf {
    fn from(path: DatabasePath) -> Self {
        path.0
    }
}

impl FromStr for DatabasePath {
    type Err = ();

    fn from_str(url: &str) -> Result<Self, ()> {
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .unwrap_or_default();
        // SQLite gives these a special meaning; none of them is the path of a plain file.
        let is_special = path.starts_with(':') || path.starts_with("file:") || path.contains('?');
        if path.is_empty() || is_special {
            return Err(());
        }
        Ok(Self(PathBuf::from(path)))
    }
}
