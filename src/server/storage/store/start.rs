//! Reads the database at a start. A resync shares parts of it.

use std::sync::atomic::Ordering;

use log::warn;
use sqlx::{Connection, SqliteConnection};

use super::Store;
use crate::server::model::{ResumedLeases, StoredPeer, Uptime};
use crate::server::progress::Progress;
use crate::server::storage::access::Access;
use crate::server::storage::{
    DataVersion, FaultyRow, Loaded, RelayRows, Resumed, StorageError, batch, cost, load, peers,
    quarantine, sessions, settle, uptime,
};

impl Store {
    /// Continues the leases as `decide` says, given what the database remembers, and removes the
    /// peers whose leases had run out.
    ///
    /// If the database cannot be written, the leases stand still at the last sign of life: `decide`
    /// gets that time as now, and what it says is not written.
    pub(crate) async fn resume(
        &self,
        now_ms: i64,
        timeout_ms: i64,
        decide: impl Fn(Uptime, i64) -> ResumedLeases,
    ) -> Result<Resumed, StorageError> {
        self.0.timeout_ms.store(timeout_ms, Ordering::Relaxed);
        if self.0.slot.lock().await.access == Access::Full {
            match self.resume_fully(now_ms, timeout_ms, &decide).await {
                Ok(resumed) => {
                    let committed = self.0.last_batch.load(Ordering::Relaxed);
                    self.0.slot.lock().await.committed = committed;
                    // From now on the file has a newer number than any backup made before.
                    tolerate("move the log into the file", self.checkpoint().await)?;
                    return Ok(resumed);
                }
                Err(error) if error.stops_writes() => {
                    warn!("cannot write to the database, leases stand still: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        let before = self.run(async |connection| uptime::uptime(connection).await);
        let before = before.await?;
        let since_ms = before.alive_at_ms.unwrap_or(now_ms);
        Ok(Resumed {
            leases: decide(before, since_ms),
            expired: 0,
            stalled_since_ms: Some(since_ms),
        })
    }

    async fn resume_fully(
        &self,
        now_ms: i64,
        timeout_ms: i64,
        decide: &impl Fn(Uptime, i64) -> ResumedLeases,
    ) -> Result<Resumed, StorageError> {
        let resume = self.run(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let decide = |before| decide(before, now_ms);
            let leases = uptime::resume(&mut transaction, now_ms, timeout_ms, decide).await?;
            let batch = settle::last_batch(&mut transaction).await?;
            transaction.commit().await?;
            self.0.last_batch.store(batch, Ordering::Relaxed);
            Ok(leases)
        });
        let mut resumed = Resumed {
            leases: resume.await?,
            ..Resumed::default()
        };
        let cutoff_ms = resumed.leases.cutoff_ms;
        // In several transactions, so that the log can be moved into the file in between.
        loop {
            let slice = self.run(async |connection| peers::expire(connection, cutoff_ms).await);
            match slice.await {
                Ok(0) => return Ok(resumed),
                Ok(expired) => resumed.expired += expired,
                // An operator's trigger protects a row. The cleanups will report it too.
                Err(StorageError::Constraint(error)) => {
                    warn!("cannot remove all peers whose leases have run out: {error}");
                    return Ok(resumed);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes every peer to `each`. Returns the rest, with the traffic since `first_day`.
    ///
    /// Moves rows that cannot be read to the quarantine, and sets times in the future to `now_ms`.
    /// If the database cannot be written, none of this is written.
    pub(crate) async fn load(
        &self,
        now_ms: i64,
        each: impl FnMut(StoredPeer),
        first_day: i64,
        progress: &Progress,
    ) -> Result<Loaded, StorageError> {
        let timeout_ms = self.timeout_ms();
        let mut slot = self.0.slot.lock().await;
        let mut connection = slot.take(&self.0.real).await?;
        let generation = slot.generation;
        let may_write = slot.access == Access::Full && begin(&mut connection).await.is_ok();
        let loaded = async {
            if may_write {
                repair(&mut connection, now_ms, timeout_ms, 0).await?;
            } else {
                sqlx::query("BEGIN").execute(&mut *connection).await?;
            }
            let mut loaded = read(&mut connection, now_ms, each, first_day, progress).await?;
            if may_write {
                let moved = quarantine::set_aside(&mut connection, &loaded.set_aside, now_ms).await;
                tolerate("set aside what cannot be read", moved)?;
            }
            loaded.quarantined = quarantine::count(&mut connection).await?;
            // Within the transaction, so that no other connection can write in between.
            loaded.version = DataVersion {
                number: batch::data_version(&mut connection).await?,
                connection: generation,
            };
            let ended = sqlx::query("COMMIT").execute(&mut *connection).await;
            tolerate(
                "commit what was set aside",
                ended.map(drop).map_err(Into::into),
            )?;
            Ok(loaded)
        };
        let loaded = loaded.await;
        // If the commit failed, do not leave the transaction open.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        self.put(&mut slot, connection, loaded.is_ok()).await;
        loaded
    }
}

/// Begins a transaction that writes.
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
    Ok(())
}

/// Ignores a repair that failed because of a full disk or an operator's trigger: reading the data
/// is more important.
pub(crate) fn tolerate(what: &str, result: Result<(), StorageError>) -> Result<(), StorageError> {
    match result {
        Err(error) if error.stops_writes() || matches!(error, StorageError::Constraint(_)) => {
            warn!("cannot {what}: {error}");
            Ok(())
        }
        result => result,
    }
}

/// Repairs what a wrong clock or an operator has left, before it is read. `batch` is the number of
/// the last transaction.
pub(crate) async fn repair(
    connection: &mut SqliteConnection,
    now_ms: i64,
    timeout_ms: i64,
    batch: i64,
) -> Result<(), StorageError> {
    let clamped = load::clamp(connection, now_ms).await;
    tolerate("move leases from the future to now", clamped)?;
    // Each transaction writes its number into this row.
    sqlx::query(
        "INSERT OR IGNORE INTO registry_state (id, alive_at, peer_timeout_ms, batch)
         VALUES (1, ?, ?, ?)",
    )
    .bind(now_ms)
    .bind(timeout_ms)
    .bind(batch)
    .execute(connection)
    .await?;
    Ok(())
}

async fn read(
    connection: &mut SqliteConnection,
    now_ms: i64,
    each: impl FnMut(StoredPeer),
    first_day: i64,
    progress: &Progress,
) -> Result<Loaded, StorageError> {
    let mut set_aside = load::load(connection, progress, each).await?;
    Ok(Loaded {
        relay: read_relay(connection, now_ms, first_day, &mut set_aside).await?,
        version: DataVersion::default(),
        quarantined: 0,
        set_aside,
    })
}

/// Reads everything about relaying, with the traffic since `first_day`.
pub(crate) async fn read_relay(
    connection: &mut SqliteConnection,
    now_ms: i64,
    first_day: i64,
    set_aside: &mut Vec<FaultyRow>,
) -> Result<RelayRows, StorageError> {
    Ok(RelayRows {
        traffic: cost::load_traffic(connection, first_day, set_aside).await?,
        tiers: sessions::load_tiers(connection, set_aside).await?,
        state: cost::load_state(connection, now_ms, set_aside).await?,
        sessions: sessions::load(connection, now_ms, set_aside).await?,
    })
}
