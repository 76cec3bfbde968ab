//! A clock that tests control.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[cfg(feature = "agent")]
use super::sleepers::{Kind, Sleepers, Waiting};
use super::system::Clock;
#[cfg(feature = "agent")]
use super::timer::{Sleep, Timer};

/// A clock that stands still until a caller moves it, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now_ms: AtomicI64,
    /// How far the wall clock is ahead.
    wall_ahead_ms: AtomicI64,
    #[cfg(feature = "agent")]
    sleepers: Sleepers,
}

impl ManualClock {
    /// Starts at `now_ms` Unix milliseconds.
    pub fn new(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            wall_ahead_ms: AtomicI64::new(0),
            #[cfg(feature = "agent")]
            sleepers: Sleepers::default(),
        }
    }

    /// Advances the clock by `step`.
    pub fn advance(&self, step: Duration) {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        self.now_ms.fetch_add(step_ms, Ordering::SeqCst);
        #[cfg(feature = "agent")]
        self.wake_sleepers();
    }

    /// Steps the wall clock by `ms`, as a suspended machine or an administrator does. The clock itself
    /// stands still.
    pub fn step_wall(&self, ms: i64) {
        self.wall_ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the clock to `now_ms` Unix milliseconds, which may be in the past.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
        #[cfg(feature = "agent")]
        self.wake_sleepers();
    }
}

#[cfg(feature = "agent")]
impl Timer for ManualClock {
    fn sleep_until(&self, at_ms: i64) -> Sleep {
        self.sleep(at_ms, Kind::Plan)
    }

    fn guard_until(&self, at_ms: i64) -> Sleep {
        self.sleep(at_ms, Kind::Guard)
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn wall_ms(&self) -> i64 {
        self.now_ms() + self.wall_ahead_ms.load(Ordering::SeqCst)
    }
}

#[cfg(feature = "agent")]
impl ManualClock {
    /// The earliest time, in Unix milliseconds, at which a plan sleeper wakes; `None` without one.
    pub fn next_wake_ms(&self) -> Option<i64> {
        self.sleepers.earliest_ms(Kind::Plan)
    }

    /// The earliest time, in Unix milliseconds, at which a pending request times out; `None`
    /// without one.
    pub fn next_guard_ms(&self) -> Option<i64> {
        self.sleepers.earliest_ms(Kind::Guard)
    }

    /// Waits, in real time, until `is_met` returns true for the number of sleepers.
    pub async fn wait_for(&self, mut is_met: impl FnMut(Waiting) -> bool) {
        let mut waiting = self.sleepers.subscribe();
        // An error means that the sender is gone, but this clock owns it.
        let _ = waiting.wait_for(|waiting| is_met(*waiting)).await;
    }

    fn wake_sleepers(&self) {
        self.sleepers.wake(self.now_ms());
    }

    pub(crate) fn sleep(&self, at_ms: i64, kind: Kind) -> Sleep {
        let sleep = self.sleepers.sleep(at_ms, kind);
        // The clock may have moved between the caller's reading of it and this entry.
        self.wake_sleepers();
        sleep
    }
}
