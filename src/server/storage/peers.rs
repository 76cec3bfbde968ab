//! The peer table.

use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StorageError;
use crate::protocol::{PeerId, TurnOffer};
use crate::server::model::{Profile, StoredPeer};

/// Hands every row to `each`, in no particular order.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    mut each: impl FnMut(StoredPeer),
) -> Result<(), StorageError> {
    let mut rows = sqlx::query("SELECT * FROM peers").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        each(read(&row)?);
    }
    Ok(())
}

/// The rows of some peers.
pub(super) async fn read_peers(
    connection: &mut SqliteConnection,
    ids: &[PeerId],
) -> Result<Vec<StoredPeer>, StorageError> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let rows = sqlx::query("SELECT * FROM peers WHERE peer_id IN (SELECT value FROM json_each(?))")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// Up to `max` rows behind a key, in order of their keys.
pub(super) async fn read_rows(
    connection: &mut SqliteConnection,
    after: i64,
    max: usize,
) -> Result<Vec<StoredPeer>, StorageError> {
    let rows = sqlx::query("SELECT * FROM peers WHERE id > ? ORDER BY id LIMIT ?")
        .bind(after)
        .bind(max as i64)
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// The highest key below `below`, or 0.
pub(super) async fn max_row_id(
    connection: &mut SqliteConnection,
    below: i64,
) -> Result<i64, StorageError> {
    let max: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM peers WHERE id < ?")
        .bind(below)
        .fetch_one(connection)
        .await?;
    Ok(max.unwrap_or(0))
}

fn read(row: &SqliteRow) -> Result<StoredPeer, StorageError> {
    let peer_id: String = row.try_get("peer_id")?;
    let turn_addresses: Option<Vec<String>> = read_json(row, &peer_id, "turn_addresses")?;
    let turn = match turn_addresses {
        None => None,
        Some(addresses) => Some(TurnOffer {
            addresses,
            port: row.try_get("turn_port")?,
            capacity: row.try_get("turn_capacity")?,
        }),
    };
    Ok(StoredPeer {
        row_id: row.try_get("id")?,
        registered_at_ms: row.try_get("registered_at")?,
        last_seen_ms: row.try_get("last_seen")?,
        profile: Profile {
            addresses: read_json(row, &peer_id, "addresses")?.unwrap_or_default(),
            crypto_ipv6: row.try_get("crypto_ipv6")?,
            stores: read_json(row, &peer_id, "stores")?.unwrap_or_default(),
            version: row.try_get("version")?,
            privacy_mode: row.try_get("privacy_mode")?,
            capabilities: row.try_get("capabilities")?,
            capability_list: row.try_get("capability_list")?,
            bootstrap_capable: row.try_get("bootstrap_capable")?,
            network_id: row.try_get("network_id")?,
            software_version: row.try_get("software_version")?,
            server_port: row.try_get("server_port")?,
            node_type: row.try_get("node_type")?,
            turn_capable: row.try_get("turn_capable")?,
            turn,
        },
        peer_id: PeerId::from_trusted(&peer_id),
    })
}

fn read_json<T: DeserializeOwned>(
    row: &SqliteRow,
    peer_id: &str,
    column: &'static str,
) -> Result<Option<T>, StorageError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| StorageError::Row {
            peer_id: peer_id.to_owned(),
            column,
            reason: error.to_string(),
        })
}

/// Removes the peers that have expired, those last seen before the cutoff, but for some rows. The
/// second condition bounds the number of rows: a place in the order of `last_seen` and `id`.
pub(super) const CLEANUP: &str = "
DELETE FROM peers
WHERE last_seen < ? AND (last_seen, id) < (?, ?) AND id NOT IN (SELECT value FROM json_each(?));";

/// Inserts peers, or overwrites what they announced before.
pub(super) const REGISTER: &str = "
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

/// Renews, from a moment, the leases of some rows.
///
/// `OR ROLLBACK` because a row that fails fails the transaction, so that SQLite need not keep a
/// journal for undoing this statement alone; that journal costs as much as the update.
pub(super) const RENEW: &str = "
UPDATE OR ROLLBACK peers SET last_seen = ? WHERE id IN (SELECT value FROM json_each(?));";

/// The columns of a row in the order of the insert.
pub(super) fn row_of(peer: &StoredPeer) -> serde_json::Value {
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
