//! What the actor is doing, as other threads see it.
//!
//! All times are machine milliseconds ([`crate::clock::machine_ms`]): how long a thread has been
//! at something does not follow the registry's clock.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use strum::{Display, FromRepr};

/// How old the actor's last turn, or a commit, may be before the registry counts as stuck. A slow
/// disk takes a second at times; a node gives up on an answer after ten.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Says that no commit is under way.
const NO_COMMIT: i64 = i64::MIN;

/// What the actor does now.
#[derive(Clone, Copy, Debug, Display, FromRepr, PartialEq, Eq)]
#[strum(serialize_all = "lowercase")]
#[repr(u8)]
pub(crate) enum Phase {
    /// It waits for messages.
    Waiting,
    /// It plans a batch.
    Planning,
    /// It applies a batch that was committed, and answers its senders.
    Applying,
    /// It takes peers whose lease has run out off the lists.
    Expiring,
}

/// Signs of life of the actor. The actor sets them, any thread reads them, and nobody waits.
#[derive(Debug)]
pub(crate) struct Pulse {
    phase: AtomicU8,
    phase_since_ms: AtomicI64,
    turned_ms: AtomicI64,
    commit_since_ms: AtomicI64,
}

/// Why the registry counts as stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The actor has not come to its timers for this long.
    Actor {
        /// What it is at.
        phase: Phase,
        /// How long it has been at that.
        phase_for: Duration,
        /// The age of its last turn.
        silent_for: Duration,
    },
    /// A transaction has not ended for this long.
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
            commit_since_ms: AtomicI64::new(NO_COMMIT),
        }
    }

    /// Notes that the actor begins something. One [`Phase::Waiting`] should follow.
    pub(crate) fn enter(&self, phase: Phase, now_ms: i64) {
        // The time first: a reader between the two sees too short a time, not too long a one.
        self.phase_since_ms.store(now_ms, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Notes that the actor has come to its timers. To be called at least every second.
    pub(crate) fn turn(&self, now_ms: i64) {
        self.turned_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Notes that a transaction begins.
    pub(crate) fn begin_commit(&self, now_ms: i64) {
        self.commit_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Notes that the transaction has ended, well or not.
    pub(crate) fn end_commit(&self) {
        self.commit_since_ms.store(NO_COMMIT, Ordering::Relaxed);
    }

    /// What the actor is at, and since when.
    pub(crate) fn phase(&self) -> (Phase, i64) {
        let phase = Phase::from_repr(self.phase.load(Ordering::Acquire));
        let since_ms = self.phase_since_ms.load(Ordering::Relaxed);
        (phase.unwrap_or(Phase::Waiting), since_ms)
    }

    /// Whether the actor and its commits make progress, as seen at `now_ms`.
    ///
    /// # Errors
    /// Says what is older than [`STUCK_AFTER`].
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
        let since_ms = self.commit_since_ms.load(Ordering::Relaxed);
        if since_ms != NO_COMMIT && age(now_ms, since_ms) > STUCK_AFTER {
            return Err(Stuck::Commit {
                running_for: age(now_ms, since_ms),
            });
        }
        Ok(())
    }
}

fn age(now_ms: i64, since_ms: i64) -> Duration {
    // Another thread may have read the clock a little later than this one.
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
        pulse.begin_commit(1_000);
        pulse.turn(7_000);
        let running_for = Duration::from_millis(6_000);
        assert_eq!(pulse.health(7_000), Err(Stuck::Commit { running_for }));
        pulse.end_commit();
        assert_eq!(pulse.health(7_000), Ok(()));
    }

    #[test]
    fn a_reader_whose_clock_is_a_little_behind_sees_no_age() {
        let pulse = Pulse::new(1_000);
        pulse.begin_commit(1_000);
        assert_eq!(pulse.health(999), Ok(()));
    }
}
