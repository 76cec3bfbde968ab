//! The TURN sessions that are granted and remembered.

use super::declaration::Number;
use super::reader::Reader;

/// The upper bound of all three, which serves only to catch a typing error.
const MAX: usize = 1 << 20;

const MAX_ALLOCATIONS_PER_MINUTE: Number<usize> = Number {
    name: "MAX_ALLOCATIONS_PER_MINUTE",
    unit: "COUNT",
    default: 10,
    range: 1..=MAX,
    meaning: "New TURN sessions of a peer in a minute",
};

const MAX_ENDED_SESSIONS: Number<usize> = Number {
    name: "MAX_ENDED_SESSIONS",
    unit: "COUNT",
    default: 50_000,
    range: 1..=MAX,
    meaning: "Ended TURN sessions that are kept for late reports",
};

const MAX_ENDED_SESSIONS_PER_PEER: Number<usize> = Number {
    name: "MAX_ENDED_SESSIONS_PER_PEER",
    unit: "COUNT",
    default: 16,
    range: 1..=MAX,
    meaning: "Ended TURN sessions of one peer that are kept for late reports",
};

/// Bounds of the TURN sessions that are granted and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Maximum number of new sessions of a peer in a minute (`MAX_ALLOCATIONS_PER_MINUTE`). Beyond
    /// it the response is 429 `throttled`. Sessions that are forgotten are not counted, so a number
    /// above `max_ended_per_peer` limits nothing.
    pub max_new_per_minute: usize,
    /// Maximum number of ended sessions that are kept for late reports (`MAX_ENDED_SESSIONS`).
    /// Beyond it the one that ended first is forgotten.
    pub max_ended: usize,
    /// Maximum number of ended sessions of one peer that are kept (`MAX_ENDED_SESSIONS_PER_PEER`).
    pub max_ended_per_peer: usize,
}

impl SessionConfig {
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        Self {
            max_new_per_minute: settings.whole(&MAX_ALLOCATIONS_PER_MINUTE),
            max_ended: settings.whole(&MAX_ENDED_SESSIONS),
            max_ended_per_peer: settings.whole(&MAX_ENDED_SESSIONS_PER_PEER),
        }
    }
}
