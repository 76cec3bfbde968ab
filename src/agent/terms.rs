//! What a registry grants with a renewal, held to what is sensible.

use crate::protocol::{HeartbeatResponse, RegisterResponse};

/// How often heartbeats are sent to a registry that does not say, in milliseconds.
pub(super) const DEFAULT_INTERVAL_MS: i64 = 120_000;
/// How long a lease lasts at a registry that does not say, in milliseconds.
pub(super) const DEFAULT_LEASE_MS: i64 = 600_000;

/// No registry gets more than one heartbeat a second, in milliseconds.
const LEAST_INTERVAL_MS: i64 = 1_000;
/// No registry is left for longer than an hour, in milliseconds.
const MOST_INTERVAL_MS: i64 = 3_600_000;
/// The longest lease that is believed in, in milliseconds: a day.
const MOST_LEASE_MS: i64 = 86_400_000;

/// The length of a lease and the pace of its heartbeats.
///
/// A registry that is broken, or means harm, can neither make a node hammer nor make it forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    interval_ms: i64,
    lease_ms: i64,
}

impl Terms {
    /// Takes the numbers of an answer: two moments in Unix milliseconds by the registry's clock,
    /// of which only the difference is used, and an interval in seconds. Zero means not said.
    pub(super) fn granted(last_seen: i64, expires_at: i64, interval_secs: u64) -> Self {
        let lease_ms = match expires_at.saturating_sub(last_seen) {
            lease_ms if lease_ms > 0 => lease_ms.clamp(2 * LEAST_INTERVAL_MS, MOST_LEASE_MS),
            _ => DEFAULT_LEASE_MS,
        };
        let interval_ms = match interval_secs {
            0 => DEFAULT_INTERVAL_MS,
            secs => i64::try_from(secs.saturating_mul(1_000)).unwrap_or(MOST_INTERVAL_MS),
        };
        Self {
            // Half a lease leaves time to try again when a heartbeat is lost.
            interval_ms: interval_ms
                .clamp(LEAST_INTERVAL_MS, MOST_INTERVAL_MS)
                .min(lease_ms / 2),
            lease_ms,
        }
    }

    /// The time between heartbeats, in milliseconds: 1 s to 1 h, and at most half a lease.
    pub(super) fn interval_ms(self) -> i64 {
        self.interval_ms
    }

    /// How long the lease lasts, in milliseconds: 2 s to a day.
    pub(super) fn lease_ms(self) -> i64 {
        self.lease_ms
    }
}

impl From<&RegisterResponse> for Terms {
    fn from(answer: &RegisterResponse) -> Self {
        Self::granted(
            answer.last_seen,
            answer.expires_at,
            answer.heartbeat_interval_secs,
        )
    }
}

impl From<&HeartbeatResponse> for Terms {
    fn from(answer: &HeartbeatResponse) -> Self {
        Self::granted(
            answer.last_seen,
            answer.expires_at,
            answer.heartbeat_interval_secs,
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
    fn sensible_terms_are_taken_as_they_are() {
        assert_eq!(terms(1_000, 601_000, 120), (120_000, 600_000));
        assert_eq!(terms(0, 20_000, 10), (10_000, 20_000));
    }

    #[test]
    fn what_is_not_said_is_the_default() {
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
