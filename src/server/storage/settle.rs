//! What became of a commit that failed.
//!
//! A commit appends pages to the write-ahead log, the last of them marked, and waits for the disk.
//! If that fails, SQLite counts the transaction as undone; but its pages stand in the file, and
//! whoever opens the database after a crash takes them for a commit. So before anyone is told
//! that nothing was changed, the pages must be overwritten; or else the commit must be carried on
//! to the disk.

use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::StorageError;
use super::access::CHECKPOINT_PAGES;

/// Overwrites what the failed transaction has left in the log, by a transaction of number `batch`.
///
/// It does not wait for the disk, which has just failed to sync: if the process is killed, the
/// system still has what was written. Meanwhile nothing may be moved out of the log, as it would be
/// moved without waiting too, and with it what others were told is on disk.
pub(crate) async fn take_back(
    connection: &mut SqliteConnection,
    batch: i64,
) -> Result<(), StorageError> {
    sqlx::query("PRAGMA wal_autocheckpoint = 0")
        .execute(&mut *connection)
        .await?;
    sqlx::query("PRAGMA synchronous = OFF")
        .execute(&mut *connection)
        .await?;
    let touched = sqlx::query("UPDATE registry_state SET batch = ?")
        .bind(batch)
        .execute(&mut *connection)
        .await;
    sqlx::query("PRAGMA synchronous = FULL")
        .execute(&mut *connection)
        .await?;
    let restored = format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}");
    sqlx::query(AssertSqlSafe(restored))
        .execute(connection)
        .await?;
    // Without its row the table is not written, and nothing is overwritten.
    if touched?.rows_affected() == 1 {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound.into())
    }
}

/// The number of the last transaction.
pub(crate) async fn last_batch(connection: &mut SqliteConnection) -> Result<i64, StorageError> {
    Ok(stored_batch(connection).await?.unwrap_or(0))
}

/// The number of the last transaction, if the row is there that holds it.
pub(crate) async fn stored_batch(
    connection: &mut SqliteConnection,
) -> Result<Option<i64>, StorageError> {
    let batch = sqlx::query_scalar("SELECT batch FROM registry_state")
        .fetch_optional(connection)
        .await?;
    Ok(batch)
}

/// Moves the log into the database file and waits for the disk; tells whether all of it is there.
pub(crate) async fn force(connection: &mut SqliteConnection) -> Result<bool, StorageError> {
    let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    let (in_log, in_file): (i64, i64) = (moved.try_get(1)?, moved.try_get(2)?);
    Ok(in_log == in_file)
}
