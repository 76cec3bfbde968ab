//! An operator's own connection to the database.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::background::{Background, block_on};
use crate::wire::PATIENCE;

/// Runs `work` on a new connection and closes it.
async fn with<T>(path: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10));
    let mut database = options.connect().await.unwrap();
    let result = work(&mut database).await;
    database.close().await.unwrap();
    result
}

/// Runs one statement and returns the number of changed rows.
pub fn execute(path: &Path, statement: &str) -> u64 {
    let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
    let result = block_on(with(path, async |database| query.execute(database).await));
    result.unwrap().rows_affected()
}

/// The first column of each row, as text.
pub fn texts(path: &Path, query: &str) -> Vec<String> {
    let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    block_on(with(path, async |database| query.fetch_all(database).await)).unwrap()
}

/// The number that the query returns.
pub fn number(path: &Path, query: &str) -> i64 {
    let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    block_on(with(path, async |database| query.fetch_one(database).await)).unwrap()
}

/// Takes the write lock and holds it until the returned work ends.
pub fn hold(path: PathBuf) -> Background<()> {
    let (sender, is_held) = mpsc::channel();
    let hold = Background::begin(async move |stop| {
        with(&path, async |database| {
            let begin = sqlx::query("BEGIN IMMEDIATE").execute(&mut *database).await;
            begin.unwrap();
            sender.send(()).unwrap();
            stop.wait().await;
            sqlx::query("COMMIT").execute(database).await.unwrap();
        })
        .await;
    });
    is_held.recv_timeout(PATIENCE).unwrap();
    hold
}
