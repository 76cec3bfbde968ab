//! When the registry worked, and when it did not.

use serde_json::json;
use sqlx::{Row, SqliteConnection};

use super::StorageError;
use crate::server::model::{EARLIEST_MS, Outage, ResumedLeases, Uptime};

/// What a start found when it continued the leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// How the leases continue.
    pub leases: ResumedLeases,
    /// The number of peers removed because their leases had run out.
    pub expired: u64,
    /// If the database cannot be written: when the registry was last alive, in Unix milliseconds.
    /// Leases do not run from then on, until `Store::recover` succeeds.
    pub stalled_since_ms: Option<i64>,
}

/// Continues the leases as `decide` says, and records that the registry is alive at `now_ms`.
pub(crate) async fn resume(
    connection: &mut SqliteConnection,
    now_ms: i64,
    timeout_ms: i64,
    decide: impl FnOnce(Uptime) -> ResumedLeases,
) -> Result<ResumedLeases, StorageError> {
    let mut before = uptime(connection).await?;
    if before.alive_at_ms.is_none() {
        before.alive_at_ms = last_renewal_ms(connection, now_ms).await?;
    }
    let leases = decide(before);
    if leases.set_back_ms > 0 {
        set_back(connection, leases.set_back_ms, now_ms).await?;
    }
    put_outages(connection, &leases.outages).await?;
    sqlx::query(
        "INSERT INTO registry_state (id, alive_at, peer_timeout_ms) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET alive_at = ?1, peer_timeout_ms = ?2",
    )
    .bind(now_ms)
    .bind(timeout_ms)
    .execute(connection)
    .await?;
    Ok(leases)
}

/// Reads the outages and the last sign of life.
pub(crate) async fn uptime(connection: &mut SqliteConnection) -> Result<Uptime, StorageError> {
    Ok(Uptime {
        outages: outages(connection).await?,
        alive_at_ms: alive_at_ms(connection).await?,
    })
}

/// The last sign of life, in Unix milliseconds.
async fn alive_at_ms(connection: &mut SqliteConnection) -> Result<Option<i64>, StorageError> {
    let alive_at_ms: Option<i64> = sqlx::query_scalar("SELECT alive_at FROM registry_state")
        .fetch_optional(connection)
        .await?;
    Ok(alive_at_ms.map(|time_ms| time_ms.max(EARLIEST_MS)))
}

/// The last renewal up to `now_ms`. It proves that the registry was alive then, if the row with the
/// sign of life is missing.
async fn last_renewal_ms(
    connection: &mut SqliteConnection,
    now_ms: i64,
) -> Result<Option<i64>, StorageError> {
    let last_ms: Option<i64> =
        sqlx::query_scalar("SELECT max(last_seen) FROM peers WHERE last_seen <= ?")
            .bind(now_ms)
            .fetch_one(connection)
            .await?;
    Ok(last_ms.map(|time_ms| time_ms.max(EARLIEST_MS)))
}

/// Shifts all times in the database after the wall clock was set back, so that each lease keeps its
/// remaining time.
///
/// However wrong the clock was, no time leaves the bounds of its column. A row that cannot be
/// changed, because an operator wrote it with the checks turned off, stays as it is.
pub(crate) async fn set_back(
    connection: &mut SqliteConnection,
    by_ms: i64,
    now_ms: i64,
) -> Result<(), StorageError> {
    // Below the min integer SQLite makes the difference a float; `max` replaces it.
    sqlx::query(
        "UPDATE OR IGNORE peers
         SET last_seen = max(last_seen - ?1, ?3), registered_at = min(registered_at, ?2)",
    )
    .bind(by_ms)
    .bind(now_ms)
    .bind(EARLIEST_MS)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE OR IGNORE turn_sessions
         SET granted_at = max(granted_at - ?1, 0), expires_at = max(expires_at - ?1, 0),
             rate_from = max(rate_from - ?1, 0), booked_until = max(booked_until - ?1, 0)",
    )
    .bind(by_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn outages(connection: &mut SqliteConnection) -> Result<Vec<Outage>, StorageError> {
    let rows = sqlx::query("SELECT started_at, ended_at FROM outages ORDER BY started_at")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Outage {
                from_ms: row.try_get(0)?,
                until_ms: row.try_get(1)?,
            })
        })
        .collect()
}

/// Replaces the stored outages.
pub(crate) async fn put_outages(
    connection: &mut SqliteConnection,
    outages: &[Outage],
) -> Result<(), StorageError> {
    let rows: Vec<_> = outages
        .iter()
        .map(|outage| (outage.from_ms, outage.until_ms))
        .collect();
    sqlx::query("DELETE FROM outages")
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO outages SELECT value ->> 0, value ->> 1 FROM json_each(?)")
        .bind(json!(rows).to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Records an outage, unless it has no length.
pub(crate) async fn credit(
    connection: &mut SqliteConnection,
    outage: &Outage,
) -> Result<(), StorageError> {
    if outage.until_ms <= outage.from_ms {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO outages (started_at, ended_at) VALUES (?1, ?2)
         ON CONFLICT (started_at) DO UPDATE SET ended_at = ?2",
    )
    .bind(outage.from_ms)
    .bind(outage.until_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records an outage during which the process was alive: it was stopped, or could not write.
pub(crate) const CREDIT: &str = "
INSERT INTO outages (started_at, ended_at) VALUES (?, ?)
ON CONFLICT (started_at) DO UPDATE SET ended_at = max(ended_at, excluded.ended_at);";

/// Records a sign of life and the number of the transaction.
pub(crate) const MARK_ALIVE: &str = "
UPDATE registry_state SET alive_at = ?, batch = ?;";
