//! The clock of a running process, and the machine's own.

#[cfg(feature = "server")]
use std::sync::OnceLock;
#[cfg(feature = "server")]
use std::time::Duration;
use std::time::Instant;

use chrono::Utc;

/// Tells the time in Unix milliseconds.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time, in milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64;
}

/// The clock of a running process: wall time read once, then advanced by the monotonic clock.
///
/// A wall clock that is stepped, or a machine that was suspended, moves no lease: on Linux the
/// monotonic clock neither jumps nor counts suspended time.
#[derive(Debug)]
pub struct SystemClock {
    started_ms: i64,
    started: Instant,
}

impl SystemClock {
    /// Reads the wall clock for the only time and starts counting from there.
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
}

/// Milliseconds on the machine's monotonic clock since the process first asked for them.
///
/// For what is the machine's business, such as how long a thread has been at something. No lease
/// depends on it, and no test moves it.
#[cfg(feature = "server")]
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn machine_ms() -> i64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let elapsed = FIRST.get_or_init(Instant::now).elapsed();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// When `limit` will have passed, on the timer that limits what a socket may take.
///
/// Such limits are the machine's business: no lease depends on them, and no test moves them.
#[cfg(feature = "server")]
pub(crate) fn deadline_in(limit: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + limit
}

/// The present time on that timer.
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
