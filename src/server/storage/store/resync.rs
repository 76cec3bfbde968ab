//! Reads what another connection may have changed, some rows at a time.

use std::path::Path;
use std::sync::atomic::Ordering;

use log::warn;
use sqlx::{Connection, SqliteConnection};

use super::Store;
use super::start::{begin, read_relay, repair, tolerate};
use crate::protocol::PeerId;
use crate::server::storage::access::Access;
use crate::server::storage::schema::{self, Missing};
use crate::server::storage::{
    DataVersion, FileGone, Loaded, Loss, Memory, PeerRows, StorageError, batch, claims, cost, load,
    peers, quarantine, settle, uptime,
};

/// Creates the tables that were dropped and fills them from `memory`.
pub(crate) async fn mend(
    connection: &mut SqliteConnection,
    path: &Path,
    memory: impl FnOnce() -> Memory,
) -> Result<(), StorageError> {
    let created = match schema::restore(connection).await? {
        Missing::Peers => return Err(lost(path, Loss::WithoutPeers)),
        Missing::Created(created) => created,
    };
    for name in &created {
        warn!("the table {name} was missing in the database and was created anew");
    }
    let is_created = |table: &str| created.iter().any(|name| name == table);
    let is_any_created = |tables: &[&str]| tables.iter().any(|table| is_created(table));
    if !is_any_created(&[&cost::TABLES[..], &["outages", "claims"]].concat()) {
        return Ok(());
    }
    let memory = memory();
    if is_created("claims") {
        batch::put_claims(connection, &memory.claims).await?;
    }
    if is_created("outages") {
        uptime::put_outages(connection, &memory.outages).await?;
    }
    if is_any_created(&cost::TABLES) {
        // Replace all of them, because sessions and daily traffic must be from the same time.
        cost::drop_traffic(connection, &memory.relay.traffic).await?;
        batch::put_relay(connection, memory.relay).await?;
    }
    Ok(())
}

fn lost(path: &Path, loss: Loss) -> StorageError {
    StorageError::Lost(FileGone {
        path: path.to_owned(),
        loss,
    })
}

impl Store {
    /// Begins a resync: returns everything except the peers, and the max key below `max_row_id`.
    /// Repairs what [`load`](Store::load) repairs. Creates tables that were dropped and fills them
    /// from `memory`.
    ///
    /// # Errors
    /// A database without the table `peers`, or without a transaction that was committed, is lost.
    pub(crate) async fn begin_resync(
        &self,
        now_ms: i64,
        first_day: i64,
        max_row_id: i64,
        memory: impl FnOnce() -> Memory,
    ) -> Result<(Loaded, i64), StorageError> {
        let timeout_ms = self.timeout_ms();
        let mut slot = self.0.slot.lock().await;
        let mut connection = slot.take(&self.0.real).await?;
        let (generation, committed) = (slot.generation, slot.committed);
        let given = committed..=self.0.last_batch.load(Ordering::Relaxed);
        let read = async {
            begin(&mut connection).await?;
            mend(&mut connection, self.path(), memory).await?;
            let is_ours = match settle::stored_batch(&mut connection).await {
                Ok(Some(batch)) => given.contains(&batch),
                Ok(None) => true,
                // The column is missing, as in an earlier schema version.
                Err(error) if error.is_of_statement() => false,
                Err(error) => return Err(error),
            };
            if !is_ours {
                // An operator has restored a backup. The newer peers are in memory only.
                return Err(lost(self.path(), Loss::OtherState));
            }
            repair(&mut connection, now_ms, timeout_ms, committed).await?;
            let mut set_aside = Vec::new();
            let relay = read_relay(&mut connection, now_ms, first_day, &mut set_aside).await?;
            let moved = quarantine::set_aside(&mut connection, &set_aside, now_ms).await;
            tolerate("set aside what cannot be read", moved)?;
            let loaded = Loaded {
                relay,
                claims: claims::load(&mut connection).await?,
                set_aside,
                quarantined: quarantine::count(&mut connection).await?,
                version: DataVersion {
                    number: batch::data_version(&mut connection).await?,
                    connection: generation,
                },
            };
            let max_row_id = peers::max_row_id(&mut connection, max_row_id).await?;
            sqlx::query("COMMIT").execute(&mut *connection).await?;
            Ok((loaded, max_row_id))
        };
        let read = read
            .await
            .map_err(|error| slot.lost_if_damaged(self.path(), error));
        self.put(&mut slot, connection, read.is_ok()).await;
        read
    }

    /// Reads the rows of these peers.
    pub(crate) async fn read_peers(
        &self,
        now_ms: i64,
        ids: &[PeerId],
    ) -> Result<PeerRows, StorageError> {
        let ids = serde_json::to_string(ids).unwrap_or_default();
        self.read_rows_of(now_ms, usize::MAX, async |connection| {
            let query = "SELECT id FROM peers
                         WHERE peer_id IN (SELECT value FROM json_each(?)) ORDER BY id";
            let keys = sqlx::query_scalar(query).bind(ids);
            Ok(keys.fetch_all(connection).await?)
        })
        .await
    }

    /// Reads at most `max` rows after the key `after`, in ascending order of their keys.
    pub(crate) async fn read_rows(
        &self,
        now_ms: i64,
        after: i64,
        max: usize,
    ) -> Result<PeerRows, StorageError> {
        self.read_rows_of(now_ms, max, async |connection| {
            let query = "SELECT id FROM peers WHERE id > ? ORDER BY id LIMIT ?";
            let keys = sqlx::query_scalar(query).bind(after).bind(max as i64);
            Ok(keys.fetch_all(connection).await?)
        })
        .await
    }

    /// Reads rows and moves those that cannot be read to the quarantine.
    async fn read_rows_of(
        &self,
        now_ms: i64,
        max: usize,
        keys: impl AsyncFnOnce(&mut SqliteConnection) -> Result<Vec<i64>, StorageError>,
    ) -> Result<PeerRows, StorageError> {
        let may_write = self.0.slot.lock().await.access == Access::Full;
        self.run(async |connection| {
            let mut transaction = connection.begin().await?;
            let keys = keys(&mut transaction).await?;
            let (peers, set_aside) = load::rows(&mut transaction, &keys).await?;
            if may_write && !set_aside.is_empty() {
                let moved = quarantine::set_aside(&mut transaction, &set_aside, now_ms).await;
                tolerate("set aside what cannot be read", moved)?;
            }
            transaction.commit().await?;
            Ok(PeerRows {
                peers,
                set_aside,
                next_after: keys.last().copied().filter(|_| keys.len() == max),
            })
        })
        .await
    }

    /// Tests whether a row of the table `peers` can be written. Changes nothing.
    pub(crate) async fn probe(&self, row_id: i64) -> Result<(), StorageError> {
        self.run(async |connection| {
            sqlx::query("UPDATE peers SET last_seen = last_seen WHERE id = ?")
                .bind(row_id)
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
    }

    /// Removes the rows of peers that do not fit into memory, in several transactions.
    pub(crate) async fn delete_rows(&self, rows: &[i64]) -> Result<(), StorageError> {
        for rows in rows.chunks(peers::SLICE_ROWS as usize) {
            self.run(async |connection| peers::delete(connection, rows).await)
                .await?;
        }
        Ok(())
    }
}
