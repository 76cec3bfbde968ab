//! TURN sessions, and the tiers of peers.

use std::sync::LazyLock;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StorageError;
use super::quarantine::FaultyRow;
use super::table::TURN_SESSIONS;
use crate::protocol::{Limits, PeerId, Tier};
use crate::server::model::TurnSession;

/// The maximum time from now to the end of a session, in milliseconds. No tier grants a longer one.
const MAX_AHEAD_MS: i64 = 366 * 86_400_000;

/// The maximum part of a session, in milliseconds, whose traffic may be missing from the daily
/// traffic. A running registry counts it at each midnight; only one that was down for long has more
/// to add.
const MAX_UNBOOKED_MS: i64 = 10 * MAX_AHEAD_MS;

/// The bounds of the columns.
const MAX_MBPS: u32 = 100_000;
const MAX_BYTES: i64 = 1 << 62;

/// Inserts sessions. If a session exists, overwrites the columns that can change.
pub(crate) static PUT: LazyLock<String> = LazyLock::new(|| TURN_SESSIONS.upsert());

/// Deletes sessions.
pub(crate) const FORGET: &str = "
DELETE FROM turn_sessions WHERE session_id IN (SELECT value FROM json_each(?));";

/// Records the tiers that the operator has set.
pub(crate) const SET_TIERS: &str = "
INSERT INTO peer_tiers (peer_id, tier)
SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
ON CONFLICT (peer_id) DO UPDATE SET tier = excluded.tier;";

/// A row in the order of the columns of [`TURN_SESSIONS`].
pub(crate) fn row_of(session: &TurnSession) -> Value {
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

/// Returns all sessions. Adds the rows that cannot be read to `faulty`.
pub(crate) async fn load(
    connection: &mut SqliteConnection,
    now_ms: i64,
    faulty: &mut Vec<FaultyRow>,
) -> Result<Vec<TurnSession>, StorageError> {
    let mut sessions = Vec::new();
    let mut rows = sqlx::query("SELECT rowid, * FROM turn_sessions").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        match read(&row, now_ms) {
            Ok(session) => sessions.push(session),
            Err(reason) => faulty.push(FaultyRow {
                table: "turn_sessions",
                row_id: row.try_get(0)?,
                reason,
            }),
        }
    }
    Ok(sessions)
}

/// Returns the session, or what is wrong with its row.
fn read(row: &SqliteRow, now_ms: i64) -> Result<TurnSession, String> {
    let session_id: String = cell(row, "session_id")?;
    let session = TurnSession {
        session_id: session_id.into(),
        peer_id: peer_id(row, "peer_id")?,
        server_id: peer_id(row, "server_id")?,
        tier: tier(row)?,
        mbps: cell(row, "mbps")?,
        granted_at_ms: cell(row, "granted_at")?,
        expires_at_ms: cell(row, "expires_at")?,
        rate_from_ms: cell(row, "rate_from")?,
        accrued_bytes: cell(row, "accrued_bytes")?,
        reported_bytes: cell(row, "reported_bytes")?,
        booked_bytes: cell(row, "booked_bytes")?,
        booked_until_ms: cell(row, "booked_until")?,
    };
    check(&session, now_ms)?;
    Ok(session)
}

/// Checks that the registry could have written this session, so that no sum of its numbers
/// overflows and its traffic is not spread over an absurd number of days.
fn check(session: &TurnSession, now_ms: i64) -> Result<(), String> {
    let granted_at_ms = session.granted_at_ms;
    let times = granted_at_ms..=session.expires_at_ms;
    let bytes = [
        Some(session.accrued_bytes),
        session.reported_bytes,
        Some(session.booked_bytes),
    ];
    let fault = if session.expires_at_ms > now_ms.saturating_add(MAX_AHEAD_MS) {
        "it ends in more than a year"
    } else if granted_at_ms < 0
        || !times.contains(&session.rate_from_ms)
        || !times.contains(&session.booked_until_ms)
    {
        "its times are not in order"
    } else if session.expires_at_ms - session.booked_until_ms > MAX_UNBOOKED_MS {
        "years of its traffic are not counted"
    } else if !(1..=MAX_MBPS).contains(&session.mbps) {
        "its bandwidth is out of bounds"
    } else if !bytes
        .iter()
        .flatten()
        .all(|bytes| (0..=MAX_BYTES).contains(bytes))
    {
        "its bytes are out of bounds"
    } else {
        return Ok(());
    };
    Err(fault.to_owned())
}

/// Returns the tiers that the operator has set. Adds the rows that cannot be read to `faulty`.
pub(crate) async fn load_tiers(
    connection: &mut SqliteConnection,
    faulty: &mut Vec<FaultyRow>,
) -> Result<Vec<(PeerId, Tier)>, StorageError> {
    let rows = sqlx::query("SELECT rowid, peer_id, tier FROM peer_tiers")
        .fetch_all(connection)
        .await?;
    let mut tiers = Vec::with_capacity(rows.len());
    for row in rows {
        match peer_id(&row, "peer_id").and_then(|peer_id| Ok((peer_id, tier(&row)?))) {
            Ok(tier) => tiers.push(tier),
            Err(reason) => faulty.push(FaultyRow {
                table: "peer_tiers",
                row_id: row.try_get(0)?,
                reason,
            }),
        }
    }
    Ok(tiers)
}

/// Returns the value of a column, or what is wrong with it.
fn cell<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, String>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column)
        .map_err(|error| format!("{column}: {error}"))
}

fn peer_id(row: &SqliteRow, column: &'static str) -> Result<PeerId, String> {
    let text: String = cell(row, column)?;
    if PeerId::is_well_formed(&text, &peer_id_limits()) {
        Ok(PeerId::from_trusted(&text))
    } else {
        Err(format!("{column} is not a peer id"))
    }
}

/// No max length: the limit may have been higher when the id was written.
pub(crate) fn peer_id_limits() -> Limits {
    Limits {
        peer_id_chars: usize::MAX,
        ..Limits::default()
    }
}

fn tier(row: &SqliteRow) -> Result<Tier, String> {
    let text: String = cell(row, "tier")?;
    text.parse().map_err(|_| "tier is not a tier".to_owned())
}
