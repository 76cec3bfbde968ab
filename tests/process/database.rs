//! The operator's own connection to the database.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// Opens a database that exists.
pub async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

/// Opens `peers.db` in `folder`.
pub async fn open_in(folder: &Path) -> SqliteConnection {
    open(&folder.join("peers.db")).await
}

/// Runs one statement and returns the number of rows it touched.
pub async fn execute(database: &mut SqliteConnection, statement: &'static str) -> u64 {
    sqlx::query(statement)
        .execute(database)
        .await
        .unwrap()
        .rows_affected()
}
