//! Refuses a start while a rescue file lies unused beside an older database.
//!
//! A service manager may start the registry again after a rescue. It would then serve what is left
//! of the database, and its new rows would have to be merged with the rescue file by hand.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::access;
use super::open_error::OpenError;
use super::rescue::INFIX;

/// How far a registry got with a file: when it was last alive, in Unix milliseconds, and its last
/// transaction.
type Progress = (i64, i64);

/// Checks the files beside the database at `real`, which the operator calls `path`.
pub(crate) async fn check(path: &Path, real: &Path) -> Result<(), OpenError> {
    let rescued = rescue_files(real);
    if rescued.is_empty() {
        return Ok(());
    }
    // A database that is missing or damaged has none.
    let mut newest = match access::connect_to_check(real).await {
        Ok(connection) => progress(connection).await,
        Err(_) => None,
    };
    let mut newer = None;
    for rescued in rescued {
        let options = SqliteConnectOptions::new()
            .filename(&rescued)
            .read_only(true)
            .immutable(true)
            .disable_statement_logging();
        let Ok(connection) = options.connect().await else {
            continue;
        };
        let found = progress(connection).await;
        if found > newest {
            newest = found;
            newer = Some(rescued);
        }
    }
    match newer {
        Some(rescued) => Err(OpenError::Rescued {
            path: path.to_owned(),
            rescued,
        }),
        None => Ok(()),
    }
}

/// The complete rescue files of the database at `real`, in the order of their names.
fn rescue_files(real: &Path) -> Vec<PathBuf> {
    let Some(name) = real.file_name().and_then(|name| name.to_str()) else {
        return Vec::new();
    };
    let folder = match real.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let prefix = format!("{name}{INFIX}");
    let is_rescue = |name: &str| name.starts_with(&prefix) && name.ends_with(is_of_stamp);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_rescue))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

/// The name of a rescue file ends with `Z` or a number; the names of files beside it do not.
fn is_of_stamp(last: char) -> bool {
    last == 'Z' || last.is_ascii_digit()
}

async fn progress(mut connection: SqliteConnection) -> Option<Progress> {
    let query = "SELECT alive_at, batch FROM registry_state";
    let found = sqlx::query_as(query).fetch_optional(&mut connection).await;
    let _ = connection.close().await;
    found.ok().flatten()
}
