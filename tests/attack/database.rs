//! The operator's own connection to a database.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::from_secs(10));
    options.connect().await.unwrap()
}

/// Runs one statement and returns the number of rows it touched.
pub fn execute(path: &Path, statement: &str) -> u64 {
    block_on(async {
        let mut database = open(path).await;
        let result = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        result.rows_affected()
    })
}

/// The first column of each row, as text.
pub fn texts(path: &Path, query: &str) -> Vec<String> {
    block_on(async {
        let mut database = open(path).await;
        let rows = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_all(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        rows
    })
}

/// The number that a query returns.
pub fn number(path: &Path, query: &str) -> i64 {
    block_on(async {
        let mut database = open(path).await;
        let number = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_one(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        number
    })
}

/// Holds the write lock for a while.
pub fn hold(path: &Path, time: std::time::Duration) {
    block_on(async {
        let mut database = open(path).await;
        for statement in ["BEGIN IMMEDIATE", "COMMIT"] {
            sqlx::query(statement).execute(&mut database).await.unwrap();
            if statement == "BEGIN IMMEDIATE" {
                tokio::time::sleep(time).await;
            }
        }
        database.close().await.unwrap();
    });
}
