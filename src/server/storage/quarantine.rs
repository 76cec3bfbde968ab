//! Moves rows that cannot be read to the table `peers_quarantine`, so that the registry works
//! without them.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::StorageError;

/// The maximum number of rows kept in the quarantine.
const MAX_ROWS: i64 = 10_000;

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultyRow {
    /// Its table.
    pub table: &'static str,
    /// Its key: `id` of a peer, `rowid` of any other.
    pub row_id: i64,
    /// What is wrong with it.
    pub reason: String,
}

/// Moves rows from their tables to the quarantine.
pub(crate) async fn set_aside(
    connection: &mut SqliteConnection,
    rows: &[FaultyRow],
    now_ms: i64,
) -> Result<(), StorageError> {
    for row in rows {
        // A row that is too large to copy is deleted without a copy.
        if let Err(error) = keep(connection, row, now_ms).await
            && !matches!(error, StorageError::Database(_))
        {
            return Err(error);
        }
        let delete = format!("DELETE FROM {} WHERE rowid = ?", row.table);
        sqlx::query(AssertSqlSafe(delete))
            .bind(row.row_id)
            .execute(&mut *connection)
            .await?;
    }
    if !rows.is_empty() {
        sqlx::query(
            "DELETE FROM peers_quarantine
             WHERE id <= (SELECT max(id) FROM peers_quarantine) - ?",
        )
        .bind(MAX_ROWS)
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Copies a row as a JSON text, with all columns that its table has in this schema version.
async fn keep(
    connection: &mut SqliteConnection,
    row: &FaultyRow,
    now_ms: i64,
) -> Result<(), StorageError> {
    let columns: String = sqlx::query_scalar(
        "SELECT group_concat(quote(name) || ', \"' || replace(name, '\"', '\"\"') || '\"')
         FROM pragma_table_info(?)",
    )
    .bind(row.table)
    .fetch_one(&mut *connection)
    .await?;
    let copy = format!(
        "INSERT INTO peers_quarantine (source, row, reason, set_aside_at)
         SELECT ?, json_object({columns}), ?, ? FROM {} WHERE rowid = ?",
        row.table
    );
    sqlx::query(AssertSqlSafe(copy))
        .bind(row.table)
        .bind(&row.reason)
        .bind(now_ms)
        .bind(row.row_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The number of rows in the quarantine.
pub(crate) async fn count(connection: &mut SqliteConnection) -> Result<u64, StorageError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM peers_quarantine")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}
