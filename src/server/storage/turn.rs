//! TURN registrations, which are columns of their peer's row and go with it.

use serde_json::json;
use sqlx::SqliteConnection;

use super::{StorageError, expect_rows};
use crate::protocol::TurnOffer;

/// Records the offers of registered peers, by row.
pub(super) async fn offer(
    connection: &mut SqliteConnection,
    offers: &[(i64, TurnOffer)],
) -> Result<(), StorageError> {
    if offers.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = offers
        .iter()
        .map(|(row_id, offer)| json!([row_id, offer.addresses, offer.port, offer.capacity]))
        .collect();
    let done = sqlx::query(
        "UPDATE peers
         SET turn_capable = 1,
             turn_addresses = offer.value ->> 1,
             turn_port = offer.value ->> 2,
             turn_capacity = offer.value ->> 3
         FROM json_each(?1) AS offer
         WHERE peers.id = offer.value ->> 0",
    )
    .bind(json!(rows).to_string())
    .execute(connection)
    .await?;
    expect_rows("a TURN registration", done.rows_affected(), offers.len())
}
