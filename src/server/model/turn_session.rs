//! A TURN session that was granted.

use std::sync::Arc;

use crate::protocol::{PeerId, Tier};

/// Bytes that one Mbit/s moves in a millisecond.
const BYTES_PER_MBPS_MS: i64 = 125;

/// A TURN session that was granted. It is live until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TurnSession {
    /// Its id, which cannot be guessed.
    pub session_id: Arc<str>,
    /// The peer that it was granted to.
    pub peer_id: PeerId,
    /// The peer that relays.
    pub server_id: PeerId,
    /// The tier that it was granted to.
    pub tier: Tier,
    /// The bandwidth that was granted last, in Mbit/s.
    pub mbps: u32,
    /// When it was granted first, in Unix milliseconds.
    pub granted_at_ms: i64,
    /// When it ends or has ended, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// Since when `mbps` applies, in Unix milliseconds.
    pub rate_from_ms: i64,
    /// Bytes that it is assumed to have relayed before that.
    pub accrued_bytes: i64,
    /// Bytes that it has relayed by the last report.
    pub reported_bytes: Option<i64>,
    /// Its bytes that are counted in the daily traffic.
    pub booked_bytes: i64,
    /// The time up to which its bytes are counted in the daily traffic, in Unix milliseconds.
    pub booked_until_ms: i64,
}

impl TurnSession {
    /// Whether it is live at `now_ms`.
    pub(crate) fn is_live(&self, now_ms: i64) -> bool {
        now_ms < self.expires_at_ms
    }

    /// Whether its bytes are counted in the daily traffic up to its end.
    pub(crate) fn is_fully_counted(&self) -> bool {
        self.booked_until_ms >= self.expires_at_ms
    }

    /// Bytes per millisecond at the bandwidth that was granted.
    pub(crate) fn bytes_per_ms(&self) -> i64 {
        i64::from(self.mbps) * BYTES_PER_MBPS_MS
    }

    /// Bytes that it has relayed by `at_ms`: the reported ones, or else all that was granted.
    pub(crate) fn relayed_bytes(&self, at_ms: i64) -> i64 {
        let granted = || self.granted_bytes(at_ms);
        self.reported_bytes.unwrap_or_else(granted)
    }

    /// Bytes that it would have relayed by `at_ms` at the granted bandwidth.
    pub(crate) fn granted_bytes(&self, at_ms: i64) -> i64 {
        let elapsed_ms = at_ms.min(self.expires_at_ms) - self.rate_from_ms;
        self.accrued_bytes + self.bytes_per_ms() * elapsed_ms.max(0)
    }
}
