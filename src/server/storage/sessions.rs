//! TURN sessions, and the tiers of those they are granted to.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StorageError;
use crate::protocol::{PeerId, Tier};
use crate::server::model::TurnSession;

/// Inserts sessions, or overwrites what changes of them.
pub(super) const PUT: &str = "
INSERT INTO turn_sessions (
    session_id, peer_id, server_id, tier, mbps, granted_at, expires_at, rate_from, accrued_bytes,
    reported_bytes, booked_bytes, booked_until
)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
FROM json_each(?)
WHERE true
ON CONFLICT (session_id) DO UPDATE SET
    tier = excluded.tier,
    mbps = excluded.mbps,
    expires_at = excluded.expires_at,
    rate_from = excluded.rate_from,
    accrued_bytes = excluded.accrued_bytes,
    reported_bytes = excluded.reported_bytes,
    booked_bytes = excluded.booked_bytes,
    booked_until = excluded.booked_until;";

/// Forgets sessions.
pub(super) const FORGET: &str = "
DELETE FROM turn_sessions WHERE session_id IN (SELECT value FROM json_each(?));";

/// Records what the operator has said of peers.
pub(super) const SET_TIERS: &str = "
INSERT INTO peer_tiers (peer_id, tier)
SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
ON CONFLICT (peer_id) DO UPDATE SET tier = excluded.tier;";

/// The columns of a row in the order of the insert.
pub(super) fn row_of(session: &TurnSession) -> Value {
    json!([
        &*session.session_id,
        session.peer_id,
        session.server_id,
        session.tier,
        session.mbps,
        session.granted_at_ms,
        session.expires_at_ms,
        session.rate_from_ms,
        session.accrued_bytes,
        session.reported_bytes,
        session.booked_bytes,
        session.booked_until_ms,
    ])
}

/// Hands every session to `each`.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    mut each: impl FnMut(TurnSession),
) -> Result<(), StorageError> {
    let mut rows = sqlx::query("SELECT * FROM turn_sessions").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        each(read(&row)?);
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Result<TurnSession, StorageError> {
    let peer_id = peer_id(row, "peer_id")?;
    let session_id: String = row.try_get("session_id")?;
    Ok(TurnSession {
        session_id: session_id.into(),
        server_id: self::peer_id(row, "server_id")?,
        tier: tier(row, &peer_id)?,
        peer_id,
        mbps: row.try_get("mbps")?,
        granted_at_ms: row.try_get("granted_at")?,
        expires_at_ms: row.try_get("expires_at")?,
        rate_from_ms: row.try_get("rate_from")?,
        accrued_bytes: row.try_get("accrued_bytes")?,
        reported_bytes: row.try_get("reported_bytes")?,
        booked_bytes: row.try_get("booked_bytes")?,
        booked_until_ms: row.try_get("booked_until")?,
    })
}

/// The tiers that the operator has set.
pub(super) async fn load_tiers(
    connection: &mut SqliteConnection,
) -> Result<Vec<(PeerId, Tier)>, StorageError> {
    let rows = sqlx::query("SELECT peer_id, tier FROM peer_tiers")
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let peer_id = peer_id(row, "peer_id")?;
            Ok((peer_id.clone(), tier(row, &peer_id)?))
        })
        .collect()
}

fn peer_id(row: &SqliteRow, column: &str) -> Result<PeerId, StorageError> {
    let text: String = row.try_get(column)?;
    Ok(PeerId::from_trusted(&text))
}

fn tier(row: &SqliteRow, peer_id: &PeerId) -> Result<Tier, StorageError> {
    let text: String = row.try_get("tier")?;
    text.parse().map_err(|()| StorageError::Row {
        peer_id: peer_id.to_string(),
        column: "tier",
        reason: format!("{text:?} is none"),
    })
}
