//! When the registry worked and when it did not.

use sqlx::{Row, SqliteConnection};

use super::StorageError;
use crate::server::policy::lease::{self, Outage};

/// What the registry found when it took up its leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// All outages that still count, the one just ended included, in order.
    pub outages: Vec<Outage>,
    /// The outage between the last process and this one.
    pub credited: Option<Outage>,
    /// How far the wall clock was set back meanwhile, in milliseconds; 0 if it was not.
    pub set_back_ms: i64,
}

/// Takes up the leases at `now_ms` and records that the registry is alive.
pub(super) async fn resume(
    connection: &mut SqliteConnection,
    now_ms: i64,
    timeout_ms: i64,
) -> Result<Resumed, StorageError> {
    let alive_at: Option<i64> = sqlx::query_scalar("SELECT alive_at FROM registry_state")
        .fetch_optional(&mut *connection)
        .await?;
    let mut resumed = Resumed::default();
    if let Some(alive_at) = alive_at {
        if alive_at > now_ms {
            resumed.set_back_ms = alive_at - now_ms;
            set_back(connection, resumed.set_back_ms, now_ms).await?;
        } else if alive_at < now_ms {
            let outage = Outage {
                from_ms: alive_at,
                until_ms: now_ms,
            };
            credit(connection, &outage).await?;
            resumed.credited = Some(outage);
        }
    }
    resumed.outages = outages(connection).await?;
    let cutoff_ms = lease::cutoff_ms(now_ms, timeout_ms, &resumed.outages);
    resumed
        .outages
        .retain(|outage| !lease::is_spent(outage, cutoff_ms));
    sqlx::query("DELETE FROM outages WHERE ended_at <= ?1")
        .bind(cutoff_ms)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO registry_state (id, alive_at, peer_timeout_ms) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET alive_at = ?1, peer_timeout_ms = ?2",
    )
    .bind(now_ms)
    .bind(timeout_ms)
    .execute(connection)
    .await?;
    Ok(resumed)
}

/// Moves every moment in the database along with a wall clock that was set back, so that each
/// lease keeps what it has left.
async fn set_back(
    connection: &mut SqliteConnection,
    by_ms: i64,
    now_ms: i64,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE peers SET last_seen = last_seen - ?1, registered_at = min(registered_at, ?2)",
    )
    .bind(by_ms)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE turn_sessions SET granted_at = granted_at - ?1, expires_at = expires_at - ?1,
             rate_from = rate_from - ?1, booked_until = booked_until - ?1",
    )
    .bind(by_ms)
    .execute(&mut *connection)
    .await?;
    let outages = outages(connection).await?;
    sqlx::query("DELETE FROM outages")
        .execute(&mut *connection)
        .await?;
    for outage in outages {
        let moved = Outage {
            from_ms: outage.from_ms - by_ms,
            until_ms: outage.until_ms - by_ms,
        };
        credit(connection, &moved).await?;
    }
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

/// Records an outage, if it lasted at all.
pub(super) async fn credit(
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

/// Records an outage that the process lived through: it was stopped, or could not write.
pub(super) const CREDIT: &str = "
INSERT INTO outages (started_at, ended_at) VALUES (?, ?)
ON CONFLICT (started_at) DO UPDATE SET ended_at = max(ended_at, excluded.ended_at);";

/// Records a moment at which the registry worked.
pub(super) const MARK_ALIVE: &str = "
UPDATE registry_state SET alive_at = ?;";
