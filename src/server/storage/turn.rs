//! TURN registrations. They are columns of the peer's row and are removed with it.

use serde_json::{Value, json};

use super::OfferedTurn;

/// Records the TURN offers of registered peers.
pub(crate) const OFFER: &str = "
UPDATE peers
SET turn_capable = 1,
    turn_addresses = offer.value ->> 1,
    turn_port = offer.value ->> 2,
    turn_capacity = offer.value ->> 3
FROM json_each(?) AS offer
WHERE peers.id = offer.value ->> 0;";

/// An offer, in the order of the update.
pub(crate) fn row_of(offered: &OfferedTurn) -> Value {
    let OfferedTurn { row_id, offer, .. } = offered;
    json!([row_id, offer.addresses, offer.port, offer.capacity])
}
