//! Waits for a future time.

use std::pin::Pin;
use std::time::Duration;

use super::system::{Clock, SystemClock};

/// Resolves at its time.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock that can also be waited on.
pub trait Timer: Clock {
    /// Waits until the clock shows `at_ms`, in Unix milliseconds. A time in the past does not wait.
    fn sleep_until(&self, at_ms: i64) -> Sleep;

    /// Like [`sleep_until`](Self::sleep_until), for the timeout of a pending request.
    ///
    /// Only simulated time needs the difference: a simulation may jump to the next plan, but not
    /// while a response is pending.
    fn guard_until(&self, at_ms: i64) -> Sleep {
        self.sleep_until(at_ms)
    }
}

impl Timer for SystemClock {
    fn sleep_until(&self, at_ms: i64) -> Sleep {
        let wait_ms = at_ms.saturating_sub(self.now_ms());
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        Box::pin(tokio::time::sleep(wait))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::super::sleepers::Waiting;
    use super::*;
    use crate::clock::ManualClock;

    fn is_done(sleep: &mut Sleep) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        sleep.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn sleepers_wake_at_their_time_and_not_before() {
        let clock = ManualClock::new(1_000);
        let mut early = clock.sleep_until(2_000);
        let mut late = clock.guard_until(3_000);
        assert_eq!(clock.next_wake_ms(), Some(2_000));
        assert_eq!(clock.next_guard_ms(), Some(3_000));

        clock.set(1_999);
        assert!(!is_done(&mut early));
        clock.advance(Duration::from_millis(1));
        assert!(is_done(&mut early) && !is_done(&mut late));
        assert_eq!(clock.next_wake_ms(), None);
        clock.set(9_000);
        assert!(is_done(&mut late));
    }

    #[test]
    fn a_time_in_the_past_does_not_wait() {
        let clock = ManualClock::new(1_000);
        assert!(is_done(&mut clock.sleep_until(1_000)));
    }

    #[tokio::test]
    async fn sleepers_are_counted_by_kind_until_woken_or_dropped() {
        let clock = ManualClock::new(0);
        let plan = clock.sleep_until(1);
        let guard = clock.guard_until(2);
        clock
            .wait_for(|waiting| {
                waiting
                    == Waiting {
                        plans: 1,
                        guards: 1,
                    }
            })
            .await;
        drop(guard);
        clock
            .wait_for(|waiting| {
                waiting
                    == Waiting {
                        plans: 1,
                        guards: 0,
                    }
            })
            .await;
        clock.set(1);
        clock
            .wait_for(|waiting| waiting == Waiting::default())
            .await;
        drop(plan);
        clock
            .wait_for(|waiting| waiting == Waiting::default())
            .await;
    }

    #[tokio::test]
    async fn a_time_in_the_past_does_not_wait_on_the_system_clock_either() {
        SystemClock::start().sleep_until(0).await;
    }
}
