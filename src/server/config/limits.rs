//! The limits of what one peer may announce. Their defaults are the protocol's.

use super::declaration::Number;
use super::reader::Reader;
use crate::protocol::Limits;

/// The upper bound of all limits, which serves only to catch a typing error.
const MAX: usize = 1 << 20;

pub(crate) fn read(settings: &mut Reader<'_>) -> Limits {
    let default = Limits::default();
    let mut limit = |name, unit, default, meaning| {
        settings.whole(&Number {
            name,
            unit,
            default,
            range: 1..=MAX,
            meaning,
        })
    };
    Limits {
        peer_id_chars: limit(
            "MAX_PEER_ID_CHARS",
            "COUNT",
            default.peer_id_chars,
            "Characters of a peerId",
        ),
        addresses: limit(
            "MAX_ADDRESSES",
            "COUNT",
            default.addresses,
            "Addresses of a peer, and of a TURN server",
        ),
        address_bytes: limit(
            "MAX_ADDRESS_BYTES",
            "BYTES",
            default.address_bytes,
            "Size of an address",
        ),
        stores: limit("MAX_STORES", "COUNT", default.stores, "Stores of a peer"),
        store_bytes: limit(
            "MAX_STORE_BYTES",
            "BYTES",
            default.store_bytes,
            "Size of a store id",
        ),
        string_bytes: limit(
            "MAX_STRING_BYTES",
            "BYTES",
            default.string_bytes,
            "Size of any other string",
        ),
        capabilities_bytes: limit(
            "MAX_CAPABILITIES_BYTES",
            "BYTES",
            default.capabilities_bytes,
            "Size of capabilities, and of capabilityList, as JSON",
        ),
        turn_capacity: settings.whole(&Number {
            name: "MAX_TURN_CAPACITY",
            unit: "COUNT",
            default: default.turn_capacity,
            range: 1..=MAX as u32,
            meaning: "The highest turnCapacity, in sessions",
        }),
    }
}
