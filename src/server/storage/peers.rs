//! The table `peers`.

use std::sync::LazyLock;

use serde_json::json;
use sqlx::SqliteConnection;

use super::StorageError;
use super::table::PEERS;
use crate::server::model::StoredPeer;

/// The maximum number of rows that one transaction removes.
pub(crate) const SLICE_ROWS: i64 = 2000;

/// Removes some of the peers last seen before the cutoff. Returns how many peers were removed.
pub(crate) async fn expire(
    connection: &mut SqliteConnection,
    cutoff_ms: i64,
) -> Result<u64, StorageError> {
    let removed = sqlx::query(
        "DELETE FROM peers WHERE id IN (
             SELECT id FROM peers WHERE last_seen < ? ORDER BY last_seen, id LIMIT ?
         )",
    )
    .bind(cutoff_ms)
    .bind(SLICE_ROWS)
    .execute(connection)
    .await?;
    Ok(removed.rows_affected())
}

/// Removes the peers last seen before the cutoff, except the listed rows. The second condition is
/// an exclusive upper bound in the order of `last_seen` and `id`; it limits the number of rows.
pub(crate) const CLEANUP: &str = "
DELETE FROM peers
WHERE last_seen < ? AND (last_seen, id) < (?, ?) AND id NOT IN (SELECT value FROM json_each(?));";

/// Removes the rows with these keys.
pub(crate) async fn delete(
    connection: &mut SqliteConnection,
    rows: &[i64],
) -> Result<(), StorageError> {
    let rows = serde_json::to_string(rows).unwrap_or_default();
    sqlx::query("DELETE FROM peers WHERE id IN (SELECT value FROM json_each(?))")
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}

/// The maximum key below `below`; 0 if there is none.
pub(crate) async fn max_row_id(
    connection: &mut SqliteConnection,
    below: i64,
) -> Result<i64, StorageError> {
    let max: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM peers WHERE id < ?")
        .bind(below)
        .fetch_one(connection)
        .await?;
    Ok(max.unwrap_or(0))
}

/// Inserts peers. If a peer exists, overwrites its row except `id` and `registered_at`.
pub(crate) static REGISTER: LazyLock<String> = LazyLock::new(|| PEERS.upsert());

/// Renews the leases of some rows, starting at the given time.
///
/// `OR ROLLBACK`: if one row fails, the whole transaction fails. So SQLite does not need a journal
/// to undo this statement alone, and that journal would cost as much as the update.
pub(crate) const RENEW: &str = "
UPDATE OR ROLLBACK peers SET last_seen = ? WHERE id IN (SELECT value FROM json_each(?));";

/// A row in the order of the columns of [`PEERS`].
pub(crate) fn row_of(peer: &StoredPeer) -> serde_json::Value {
    let profile = &peer.profile;
    let turn = profile.turn.as_ref();
    json!([
        peer.row_id,
        peer.peer_id,
        peer.last_seen_ms,
        peer.registered_at_ms,
        profile.network_id,
        profile.version,
        profile.crypto_ipv6,
        profile.addresses,
        profile.privacy_mode,
        profile.bootstrap_capable,
        profile.turn_capable,
        turn.map(|turn| &turn.addresses),
        turn.map(|turn| turn.port),
        turn.map(|turn| turn.capacity),
        profile.software_version,
        profile.server_port,
        profile.node_type,
        profile.stores,
        profile.capabilities,
        profile.capability_list,
    ])
}
