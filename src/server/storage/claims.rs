//! The table `claims`.

use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::StorageError;
use crate::protocol::PeerId;
use crate::server::model::Claim;

/// Records when ids were proven.
pub(crate) const PUT: &str = "
INSERT INTO claims (peer_id, proven_at)
SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
ON CONFLICT (peer_id) DO UPDATE SET proven_at = excluded.proven_at;";

/// Deletes claims.
pub(crate) const FORGET: &str = "
DELETE FROM claims WHERE peer_id IN (SELECT value FROM json_each(?));";

/// A claim, in the order of the insert.
pub(crate) fn row_of(claim: &Claim) -> Value {
    json!([claim.peer_id, claim.proven_at_ms])
}

/// Returns all claims. Ignores rows that an operator wrote with the checks of the table turned off.
pub(crate) async fn load(connection: &mut SqliteConnection) -> Result<Vec<Claim>, StorageError> {
    // One text for many rows: reading row by row through the driver costs five times as much.
    let mut claims = Vec::new();
    let mut after = String::new();
    loop {
        let chunk: String = sqlx::query_scalar(
            "SELECT json_group_array(json_array(peer_id, proven_at)) FROM (
                 SELECT peer_id, proven_at FROM claims
                 WHERE peer_id > ? AND peer_id NOT GLOB '*[^A-Za-z0-9._-]*' AND proven_at >= 0
                 ORDER BY peer_id LIMIT 1000
             )",
        )
        .bind(&after)
        .fetch_one(&mut *connection)
        .await?;
        let rows: Vec<(String, i64)> =
            serde_json::from_str(&chunk).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let Some((last, _)) = rows.last() else {
            return Ok(claims);
        };
        after.clone_from(last);
        claims.extend(rows.into_iter().map(|(peer_id, proven_at_ms)| Claim {
            peer_id: PeerId::from_trusted(&peer_id),
            proven_at_ms,
        }));
    }
}
