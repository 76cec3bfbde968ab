//! The one source of time.
//!
//! Every moment in the registry is a number of Unix milliseconds read from a [`Clock`]. Nothing
//! else in the crate asks the operating system what time it is, so a test decides when now is.
//! Who also waits for a moment to come does so on a `Timer` (feature `agent`).

#[cfg(feature = "agent")]
mod timer;

#[cfg(feature = "server")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};

#[cfg(feature = "agent")]
pub use timer::{Sleep, Timer, Waiting};

/// Tells the time in Unix milliseconds.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present moment, in milliseconds since 1970-01-01 UTC.
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
    #[allow(clippy::disallowed_methods)] // the one place that may
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

/// A clock that stands still until it is told to move, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
    #[cfg(feature = "agent")]
    sleepers: timer::Sleepers,
}

impl ManualClock {
    /// Starts at `now_ms` Unix milliseconds.
    pub fn new(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            #[cfg(feature = "agent")]
            sleepers: timer::Sleepers::default(),
        }
    }

    /// Moves the clock forward by `step`.
    pub fn advance(&self, step: Duration) {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        self.now_ms.fetch_add(step_ms, Ordering::SeqCst);
        #[cfg(feature = "agent")]
        self.wake_sleepers();
    }

    /// Sets the clock to `now_ms` Unix milliseconds, which may lie in the past.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
        #[cfg(feature = "agent")]
        self.wake_sleepers();
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
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

/// The present moment on that timer.
#[cfg(feature = "server")]
pub(crate) fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Writes `unix_ms` as RFC 3339 in UTC with milliseconds and `Z`, e.g. `2026-11-23T21:09:43.120Z`.
///
/// A moment outside the range of [`chrono`] (some 262,000 years either way) reads as the epoch.
pub fn rfc3339(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads RFC 3339 as Unix milliseconds; none if `text` is something else.
pub fn unix_ms(text: &str) -> Option<i64> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(moment.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_with_milliseconds_and_z() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_795_468_183_007), "2026-11-23T21:09:43.007Z");
    }

    #[test]
    fn a_timestamp_leads_back_to_its_moment() {
        assert_eq!(
            unix_ms(&rfc3339(1_795_468_183_007)),
            Some(1_795_468_183_007)
        );
        assert_eq!(unix_ms("yesterday"), None);
    }

    #[test]
    fn system_clock_never_goes_back() {
        let clock = SystemClock::start();
        let first = clock.now_ms();
        assert!(clock.now_ms() >= first);
        assert!(first > 1_700_000_000_000);
    }
}
