//! How long a claim to an id lasts.

/// How long a claim lasts after the last proof, in milliseconds: 30 days. It outlives the lease, so
/// that nobody takes over the id of a node that is off for some days.
pub(crate) const CLAIM_MS: i64 = 30 * 24 * 3600 * 1000;

/// How old the time of the last proof may be before a new proof is written, in milliseconds: a day.
/// If each heartbeat wrote it, a proven heartbeat would cost two rows instead of one.
const REFRESH_MS: i64 = 24 * 3600 * 1000;

/// Whether a claim still holds.
pub(crate) fn holds(proven_at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(proven_at_ms) <= CLAIM_MS
}

/// Whether a new proof must be written.
pub(crate) fn needs_refresh(proven_at_ms: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(proven_at_ms) >= REFRESH_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_for_thirty_days_and_is_written_again_after_one() {
        assert!(holds(0, CLAIM_MS));
        assert!(!holds(0, CLAIM_MS + 1));
        assert!(!needs_refresh(0, REFRESH_MS - 1));
        assert!(needs_refresh(0, REFRESH_MS));
        // The clock was set back.
        assert!(holds(CLAIM_MS, 0) && !needs_refresh(CLAIM_MS, 0));
    }
}
