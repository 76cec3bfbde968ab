//! The clock of a running process, and the monotonic clock of the machine.

#[cfg(feature = "server")]
use std::sync::OnceLock;
#[cfg(feature = "server")]
use std::time::Duration;
use std::time::Instant;

use chrono::Utc;

/// A source of the current time, in Unix milliseconds.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time, in milliseconds since 1970-01-01 UTC. Leases advance by it.
    fn now_ms(&self) -> i64;

    /// Returns what the wall clock shows, in milliseconds since 1970-01-01 UTC. It differs from
    /// [`Clock::now_ms`] once the wall clock was stepped or the machine was suspended. Times that
    /// others compare with their own clocks follow it.
    fn wall_ms(&self) -> i64 {
        self.now_ms()
    }
}

/// The clock of a running process: reads the wall clock once, then advances with the monotonic
/// clock.
///
/// So neither a step of the wall clock nor a suspended machine changes any lease: on Linux the
/// monotonic clock does not jump and does not count suspended time.
#[derive(Debug)]
pub struct SystemClock {
    started_ms: i64,
    started: Instant,
}

impl SystemClock {
    /// Reads the wall clock, once, and starts counting from there.
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    pub fn start() -> Self {
        Self {
            started_ms: Utc::now().timestamp_millis(),
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let elapsed_ms = self.started.elapsed().as_millis();
        self.started_ms
            .saturating_add(i64::try_from(elapsed_ms).unwrap_or(i64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn wall_ms(&self) -> i64 {
        Utc::now().timestamp_millis()
    }
}

/// Milliseconds on the machine's monotonic clock since the first call in this process.
///
/// Use it to measure the machine itself, e.g. how long a thread has been busy. No lease depends on
/// it, and tests cannot move it.
#[cfg(feature = "server")]
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn machine_ms() -> i64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let elapsed = FIRST.get_or_init(Instant::now).elapsed();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// The time at which `limit` will have passed, on the timer that limits socket operations.
///
/// No lease depends on these limits, and tests cannot move this timer.
#[cfg(feature = "server")]
pub(crate) fn deadline_in(limit: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + limit
}

/// The current time on the timer of [`deadline_in`].
#[cfg(feature = "server")]
pub(crate) fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_never_goes_back() {
        let clock = SystemClock::start();
        let first = clock.now_ms();
        assert!(clock.now_ms() >= first);
        assert!(first > 1_700_000_000_000);
    }
}
