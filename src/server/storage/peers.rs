//! The table `peers`.

use serde_json::json;
use sqlx::SqliteConnection;

use super::StorageError;
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
pub(crate) const REGISTER: &str = "
INSERT INTO peers (
    id, peer_id, last_seen, registered_at, network_id, version, crypto_ipv6, addresses,
    privacy_mode, bootstrap_capable, turn_capable, turn_addresses, turn_port, turn_capacity,
    software_version, server_port, node_type, stores, capabilities, capability_list
)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12,
       value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18,
       value ->> 19
FROM json_each(?)
WHERE true
ON CONFLICT (peer_id) DO UPDATE SET
    last_seen = excluded.last_seen,
    network_id = excluded.network_id,
    version = excluded.version,
    crypto_ipv6 = excluded.crypto_ipv6,
    addresses = excluded.addresses,
    privacy_mode = excluded.privacy_mode,
    bootstrap_capable = excluded.bootstrap_capable,
    turn_capable = excluded.turn_capable,
    turn_addresses = excluded.turn_addresses,
    turn_port = excluded.turn_port,
    turn_capacity = excluded.turn_capacity,
    software_version = excluded.software_version,
    server_port = excluded.server_port,
    node_type = excluded.node_type,
    stores = excluded.stores,
    capabilities = excluded.capabilities,
    capability_list = excluded.capability_list;";

/// Renews the leases of some rows, starting at the given time.
///
/// `OR ROLLBACK`: if one row fails, the whole transaction fails. So SQLite does not need a journal
/// to undo this statement alone, and that journal would cost as much as the update.
pub(crate) const RENEW: &str = "
UPDATE OR ROLLBACK peers SET last_seen = ? WHERE id IN (SELECT value FROM json_each(?));";

/// The columns of a row, in the order of the insert.
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
