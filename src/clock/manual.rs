//! A clock that tests move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[cfg(feature = "agent")]
use super::sleepers::{Kind, Sleep, Sleepers, Waiting};
use super::system::Clock;

/// A clock that stands still until it is told to move, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
    #[cfg(feature = "agent")]
    sleepers: Sleepers,
}

impl ManualClock {
    /// Starts at `now_ms` Unix milliseconds.
    pub fn new(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            #[cfg(feature = "agent")]
            sleepers: Sleepers::default(),
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

#[cfg(feature = "agent")]
impl ManualClock {
    /// The earliest time that somebody waits for as the time of their next plan, in Unix
    /// milliseconds.
    pub fn next_wake_ms(&self) -> Option<i64> {
        self.sleepers.earliest_ms(Kind::Plan)
    }

    /// The earliest time at which a request under way is given up, in Unix milliseconds.
    pub fn next_guard_ms(&self) -> Option<i64> {
        self.sleepers.earliest_ms(Kind::Guard)
    }

    /// Waits, in real time, until the number of sleepers is as `is_met` wants it.
    pub async fn wait_for(&self, mut is_met: impl FnMut(Waiting) -> bool) {
        let mut waiting = self.sleepers.subscribe();
        // The sender lives as long as this clock, so the wait has an end.
        let _ = waiting.wait_for(|waiting| is_met(*waiting)).await;
    }

    fn wake_sleepers(&self) {
        self.sleepers.wake(self.now_ms());
    }

    pub(crate) fn sleep(&self, at_ms: i64, kind: Kind) -> Sleep {
        let sleep = self.sleepers.sleep(at_ms, kind);
        // The clock may have moved between the look at it and the entry.
        self.wake_sleepers();
        sleep
    }
}
