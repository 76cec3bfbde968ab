//! The terms of a lease, as the registry grants them and within sensible bounds.

use crate::protocol::{HeartbeatResponse, RegisterResponse};

/// The time between heartbeats if the registry does not say, in milliseconds.
pub(crate) const DEFAULT_INTERVAL_MS: i64 = 120_000;
/// The length of a lease if the registry does not say, in milliseconds.
pub(crate) const DEFAULT_LEASE_MS: i64 = 600_000;

/// The min time between heartbeats, in milliseconds: a node sends at most one per second.
const MIN_INTERVAL_MS: i64 = 1_000;
/// The max time between heartbeats, in milliseconds: an hour.
const MAX_INTERVAL_MS: i64 = 3_600_000;
/// The max length of a lease, in milliseconds: a day.
const MAX_LEASE_MS: i64 = 86_400_000;

/// The length of a lease and the time between its heartbeats.
///
/// The bounds protect against a broken or hostile registry: it can make a node neither flood it
/// with heartbeats nor stop sending them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    interval_ms: i64,
    lease_ms: i64,
}

impl Terms {
    /// Reads the terms out of a response. `last_seen` and `expires_at` are in Unix milliseconds by
    /// the registry's clock, so only their difference counts. An interval of zero, or a difference
    /// that is not positive, means that the registry does not say.
    pub(crate) fn granted(last_seen: i64, expires_at: i64, interval_secs: u64) -> Self {
        let lease_ms = match expires_at.saturating_sub(last_seen) {
            lease_ms if lease_ms > 0 => lease_ms.clamp(2 * MIN_INTERVAL_MS, MAX_LEASE_MS),
            _ => DEFAULT_LEASE_MS,
        };
        let interval_ms = match interval_secs {
            0 => DEFAULT_INTERVAL_MS,
            secs => i64::try_from(secs.saturating_mul(1_000)).unwrap_or(MAX_INTERVAL_MS),
        };
        Self {
            // With two heartbeats per lease, one may be lost.
            interval_ms: interval_ms
                .clamp(MIN_INTERVAL_MS, MAX_INTERVAL_MS)
                .min(lease_ms / 2),
            lease_ms,
        }
    }

    /// The time between heartbeats, in milliseconds: 1 s to 1 h, and at most half a lease.
    pub(crate) fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// The length of the lease, in milliseconds: 2 s to a day.
    pub(crate) fn lease_ms(self) -> i64 {
        self.lease_ms
    }
}

impl From<&RegisterResponse> for Terms {
    fn from(response: &RegisterResponse) -> Self {
        Self::granted(
            response.last_seen,
            response.expires_at,
            response.heartbeat_interval_secs,
        )
    }
}

impl From<&HeartbeatResponse> for Terms {
    fn from(response: &HeartbeatResponse) -> Self {
        Self::granted(
            response.last_seen,
            response.expires_at,
            response.heartbeat_interval_secs,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(last_seen: i64, expires_at: i64, interval_secs: u64) -> (i64, i64) {
        let terms = Terms::granted(last_seen, expires_at, interval_secs);
        (terms.interval_ms(), terms.lease_ms())
    }

    #[test]
    fn sensible_terms_are_used_unchanged() {
        assert_eq!(terms(1_000, 601_000, 120), (120_000, 600_000));
        assert_eq!(terms(0, 20_000, 10), (10_000, 20_000));
    }

    #[test]
    fn missing_terms_are_the_default() {
        assert_eq!(terms(0, 0, 0), (120_000, 600_000));
        assert_eq!(terms(5_000, 4_000, 30), (30_000, 600_000));
    }

    #[test]
    fn hostile_terms_are_bounded() {
        assert_eq!(terms(0, i64::MAX, u64::MAX), (3_600_000, 86_400_000));
        assert_eq!(terms(i64::MIN, i64::MAX, 1), (1_000, 86_400_000));
        assert_eq!(terms(i64::MAX, i64::MIN, 1), (1_000, 600_000));
        assert_eq!(terms(0, 1, 120), (1_000, 2_000));
        assert_eq!(terms(0, 600_000, 599), (300_000, 600_000));
    }
}
