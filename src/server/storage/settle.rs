//! Undoes or completes a commit that failed.
//!
//! A commit appends pages to the write-ahead log, marks the last one and waits for the disk. If the
//! disk fails, SQLite treats the transaction as undone. But its pages are still in the log, and the
//! next process that opens the database after a crash reads them as a commit. So before any client
//! gets a response that says "nothing was changed", the registry must overwrite these pages. If it
//! cannot, it must bring the commit to the disk.

use sqlx::{Row, SqliteConnection};

use super::StorageError;

/// Overwrites the pages of the failed transaction in the log. Writes a small transaction with the
/// number `batch` to do so.
///
/// It does not wait for the disk, which has just failed to sync. If the process is killed, the
/// operating system still has the new pages. Meanwhile nothing may be moved out of the log
/// (SQLite does not do so by itself here): it would be moved without waiting for the disk, and commits that clients know to be on disk could
/// be lost.
pub(crate) async fn take_back(
    connection: &mut SqliteConnection,
    batch: i64,
) -> Result<(), StorageError> {
    sqlx::query("PRAGMA synchronous = OFF")
        .execute(&mut *connection)
        .await?;
    let touched = sqlx::query("UPDATE registry_state SET batch = ?")
        .bind(batch)
        .execute(&mut *connection)
        .await;
    // Restored even if the update failed: closing the connection moves the log into the file, and
    // that must wait for the disk.
    sqlx::query("PRAGMA synchronous = FULL")
        .execute(connection)
        .await?;
    // Without its row the update writes no page, so nothing was overwritten.
    if touched?.rows_affected() == 1 {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound.into())
    }
}

/// The number of the last transaction; 0 if the row is missing.
pub(crate) async fn last_batch(connection: &mut SqliteConnection) -> Result<i64, StorageError> {
    Ok(stored_batch(connection).await?.unwrap_or(0))
}

/// The number of the last transaction; `None` if the row is missing.
pub(crate) async fn stored_batch(
    connection: &mut SqliteConnection,
) -> Result<Option<i64>, StorageError> {
    let batch = sqlx::query_scalar("SELECT batch FROM registry_state")
        .fetch_optional(connection)
        .await?;
    Ok(batch)
}

/// Moves the log into the database file and waits for the disk. Returns whether all of it was
/// moved.
pub(crate) async fn force(connection: &mut SqliteConnection) -> Result<bool, StorageError> {
    let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(connection)
        .await?;
    let (in_log, in_file): (i64, i64) = (moved.try_get(1)?, moved.try_get(2)?);
    Ok(in_log == in_file)
}
