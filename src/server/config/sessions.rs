//! The TURN sessions that are granted and remembered.

/// Bounds of the TURN sessions that are granted and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// New sessions of a peer in a minute. Default 10, `MAX_ALLOCATIONS_PER_MINUTE`. Over it the
    /// response is 429 `throttled`. Sessions that are forgotten are not counted, so a number above
    /// `max_ended_per_peer` limits nothing.
    pub max_new_per_minute: usize,
    /// Ended sessions that are kept for late reports. Default 50,000, `MAX_ENDED_SESSIONS`. Over
    /// it the one that ended first is forgotten.
    pub max_ended: usize,
    /// Ended sessions of one peer that are kept. Default 16, `MAX_ENDED_SESSIONS_PER_PEER`.
    pub max_ended_per_peer: usize,
}
