//! The activity of the actor, as other threads see it.
//!
//! All times are machine milliseconds ([`crate::clock::machine_ms`]): the age of an activity must
//! not follow the registry's clock, which jumps in tests.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use strum::{Display, FromRepr};

/// The maximum age of the actor's last turn, and of a commit, before the registry counts as stuck.
/// A slow disk sometimes takes a second; a node waits ten seconds for a response.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(5);

/// The value of `io_since_ms` while no commit is under way.
const NO_COMMIT: i64 = i64::MIN;

/// The current activity of the actor.
#[derive(Clone, Copy, Debug, Display, FromRepr, PartialEq, Eq)]
#[strum(serialize_all = "lowercase")]
#[repr(u8)]
pub(crate) enum Phase {
    /// It waits for messages.
    Waiting,
    /// It plans a batch.
    Planning,
    /// It applies a committed batch and sends the replies.
    Applying,
    /// It removes expired peers from the lists.
    Expiring,
}

/// The actor's activity. The actor writes it, any thread reads it, and no thread waits for a lock.
#[derive(Debug)]
pub(crate) struct Pulse {
    phase: AtomicU8,
    phase_since_ms: AtomicI64,
    turned_ms: AtomicI64,
    io_since_ms: AtomicI64,
    log_bytes: AtomicU64,
}

/// Why the registry counts as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The actor has not run its timers for this long.
    Actor {
        /// Its current activity.
        phase: Phase,
        /// How long this activity has lasted.
        phase_for: Duration,
        /// The age of its last turn.
        silent_for: Duration,
    },
    /// A transaction, or a read of the table, has not ended for this long.
    Commit {
        /// The age of the transaction.
        running_for: Duration,
    },
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor {
                phase,
                phase_for,
                silent_for,
            } => write!(
                f,
                "the actor has taken no turn for {} s, phase={} for {} s",
                silent_for.as_secs(),
                phase,
                phase_for.as_secs()
            ),
            Self::Commit { running_for } => {
                write!(f, "a commit has not ended for {} s", running_for.as_secs())
            }
        }
    }
}

impl Pulse {
    /// The pulse of an actor that starts at `now_ms`.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Waiting as u8),
            phase_since_ms: AtomicI64::new(now_ms),
            turned_ms: AtomicI64::new(now_ms),
            io_since_ms: AtomicI64::new(NO_COMMIT),
            log_bytes: AtomicU64::new(0),
        }
    }

    /// Records the size of the database's write-ahead log.
    pub(crate) fn set_log_bytes(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The size of the database's write-ahead log at the last check, a second ago at most.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// Records that the actor begins an activity. When the activity has ended, the caller enters
    /// [`Phase::Waiting`].
    pub(crate) fn enter(&self, phase: Phase, now_ms: i64) {
        // The time is stored first: a reader between the two stores computes a duration that is too
        // short rather than too long, and so reports no false alarm.
        self.phase_since_ms.store(now_ms, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Records that the actor has run its timers. Call it at least once per second.
    pub(crate) fn turn(&self, now_ms: i64) {
        self.turned_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Records that a transaction, or a read of the table, begins.
    pub(crate) fn begin_io(&self, now_ms: i64) {
        self.io_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Records that it has ended, whether it succeeded or failed.
    pub(crate) fn end_io(&self) {
        self.io_since_ms.store(NO_COMMIT, Ordering::Relaxed);
    }

    /// The current activity, and the time at which it began.
    pub(crate) fn phase(&self) -> (Phase, i64) {
        let phase = Phase::from_repr(self.phase.load(Ordering::Acquire));
        let since_ms = self.phase_since_ms.load(Ordering::Relaxed);
        (phase.unwrap_or(Phase::Waiting), since_ms)
    }

    /// Checks whether the actor and its commits make progress, as of `now_ms`.
    ///
    /// # Errors
    /// Returns what is older than [`STUCK_AFTER`].
    pub(crate) fn health(&self, now_ms: i64) -> Result<(), Stuck> {
        let silent_for = age(now_ms, self.turned_ms.load(Ordering::Relaxed));
        if silent_for > STUCK_AFTER {
            let (phase, since_ms) = self.phase();
            return Err(Stuck::Actor {
                phase,
                phase_for: age(now_ms, since_ms),
                silent_for,
            });
        }
        let since_ms = self.io_since_ms.load(Ordering::Relaxed);
        if since_ms != NO_COMMIT && age(now_ms, since_ms) > STUCK_AFTER {
            return Err(Stuck::Commit {
                running_for: age(now_ms, since_ms),
            });
        }
        Ok(())
    }
}

fn age(now_ms: i64, since_ms: i64) -> Duration {
    // The other thread may have read the clock later than this one, which gives a negative age.
    let age_ms = now_ms.saturating_sub(since_ms);
    Duration::from_millis(u64::try_from(age_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_told_apart() {
        let pulse = Pulse::new(0);
        let phases = [
            Phase::Waiting,
            Phase::Planning,
            Phase::Applying,
            Phase::Expiring,
        ];
        for (phase, since_ms) in phases.into_iter().zip(0..) {
            pulse.enter(phase, since_ms);
            assert_eq!(pulse.phase(), (phase, since_ms));
        }
    }

    #[test]
    fn an_actor_that_takes_its_turns_is_well() {
        let pulse = Pulse::new(0);
        for now_ms in (0..60_000).step_by(1000) {
            pulse.turn(now_ms);
            assert_eq!(pulse.health(now_ms + 5_000), Ok(()));
        }
    }

    #[test]
    fn an_actor_without_a_turn_is_stuck_in_its_phase() {
        let pulse = Pulse::new(0);
        pulse.turn(10_000);
        pulse.enter(Phase::Planning, 12_000);
        assert_eq!(pulse.health(15_000), Ok(()));
        let stuck = pulse.health(15_001).unwrap_err();
        assert_eq!(
            stuck.to_string(),
            "the actor has taken no turn for 5 s, phase=planning for 3 s"
        );
        pulse.turn(15_002);
        assert_eq!(pulse.health(15_003), Ok(()));
    }

    #[test]
    fn a_commit_that_does_not_end_is_told_though_the_actor_turns() {
        let pulse = Pulse::new(0);
        pulse.begin_io(1_000);
        pulse.turn(7_000);
        let running_for = Duration::from_millis(6_000);
        assert_eq!(pulse.health(7_000), Err(Stuck::Commit { running_for }));
        pulse.end_io();
        assert_eq!(pulse.health(7_000), Ok(()));
    }

    #[test]
    fn a_reader_whose_clock_is_a_little_behind_sees_no_age() {
        let pulse = Pulse::new(1_000);
        pulse.begin_io(1_000);
        assert_eq!(pulse.health(999), Ok(()));
    }
}
