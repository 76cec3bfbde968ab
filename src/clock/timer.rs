//! Waiting for a moment to come.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::{Clock, ManualClock, SystemClock};

/// Resolves when its moment has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock that can also be waited on.
pub trait Timer: Clock {
    /// Waits until the clock shows `at_ms`, in Unix milliseconds; a moment that has passed is no
    /// wait at all.
    fn sleep_until(&self, at_ms: i64) -> Sleep;

    /// Waits like [`sleep_until`](Self::sleep_until) for the end of the time that a request under
    /// way is given.
    ///
    /// The difference matters to simulated time only: it may run on to the next plan, but not
    /// while an answer is still on its way.
    fn guard_until(&self, at_ms: i64) -> Sleep {
        self.sleep_until(at_ms)
    }
}

impl Timer for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that may
    fn sleep_until(&self, at_ms: i64) -> Sleep {
        let wait_ms = at_ms.saturating_sub(self.now_ms());
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        Box::pin(tokio::time::sleep(wait))
    }
}

/// How many wait on a [`ManualClock`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Those who wait for the moment of their next plan.
    pub plans: usize,
    /// Those who have a request under way.
    pub guards: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plan,
    Guard,
}

/// Who waits, in order of the moments they wait for.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: watch::Sender<Waiting>,
    ordered: Mutex<Ordered>,
}

#[derive(Debug, Default)]
struct Ordered {
    last_id: u64,
    sleepers: BTreeMap<(i64, u64), (Kind, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// The earliest moment that somebody waits for as the time of their next plan, in Unix
    /// milliseconds.
    pub fn next_wake_ms(&self) -> Option<i64> {
        self.sleepers.queue.earliest_ms(Kind::Plan)
    }

    /// The earliest moment at which a request under way is given up, in Unix milliseconds.
    pub fn next_guard_ms(&self) -> Option<i64> {
        self.sleepers.queue.earliest_ms(Kind::Guard)
    }

    /// Waits, in real time, until the number of sleepers is as `is_met` wants it.
    pub async fn wait_for(&self, mut is_met: impl FnMut(Waiting) -> bool) {
        let mut waiting = self.sleepers.queue.waiting.subscribe();
        // The sender lives as long as this clock, so there is always an answer.
        let _ = waiting.wait_for(|waiting| is_met(*waiting)).await;
    }

    pub(super) fn wake_sleepers(&self) {
        self.sleepers.queue.wake(self.now_ms());
    }

    fn sleep(&self, at_ms: i64, kind: Kind) -> Sleep {
        let (waker, woken) = oneshot::channel();
        let key = self.sleepers.queue.add(at_ms, kind, waker);
        // The clock may have moved between the look at it and the entry.
        self.wake_sleepers();
        Box::pin(ManualSleep {
            queue: Arc::clone(&self.sleepers.queue),
            key,
            woken,
        })
    }
}

impl Timer for ManualClock {
    fn sleep_until(&self, at_ms: i64) -> Sleep {
        self.sleep(at_ms, Kind::Plan)
    }

    fn guard_until(&self, at_ms: i64) -> Sleep {
        self.sleep(at_ms, Kind::Guard)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Ordered> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, at_ms: i64, kind: Kind, waker: oneshot::Sender<()>) -> (i64, u64) {
        let mut ordered = self.lock();
        ordered.last_id += 1;
        let key = (at_ms, ordered.last_id);
        ordered.sleepers.insert(key, (kind, waker));
        self.waiting
            .send_modify(|waiting| *waiting.of_mut(kind) += 1);
        key
    }

    fn remove(&self, key: (i64, u64)) {
        let mut ordered = self.lock();
        if let Some((kind, _)) = ordered.sleepers.remove(&key) {
            self.waiting
                .send_modify(|waiting| *waiting.of_mut(kind) -= 1);
        }
    }

    fn wake(&self, now_ms: i64) {
        let mut ordered = self.lock();
        while let Some(first) = ordered.sleepers.first_entry() {
            if first.key().0 > now_ms {
                break;
            }
            let (kind, waker) = first.remove();
            self.waiting
                .send_modify(|waiting| *waiting.of_mut(kind) -= 1);
            // Whoever has stopped waiting in this moment need not be told.
            let _ = waker.send(());
        }
    }

    fn earliest_ms(&self, kind: Kind) -> Option<i64> {
        let ordered = self.lock();
        let mut sleepers = ordered.sleepers.iter();
        sleepers
            .find(|(_, (found, _))| *found == kind)
            .map(|((at_ms, _), _)| *at_ms)
    }
}

impl Waiting {
    fn of_mut(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Plan => &mut self.plans,
            Kind::Guard => &mut self.guards,
        }
    }
}

/// A place in the queue, given up when dropped.
struct ManualSleep {
    queue: Arc<Queue>,
    key: (i64, u64),
    woken: oneshot::Receiver<()>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.woken).poll(context).map(|_| ())
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.queue.remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_done(sleep: &mut Sleep) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        sleep.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn sleepers_wake_when_their_moment_comes_and_not_before() {
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
    fn a_moment_that_has_passed_is_no_wait() {
        let clock = ManualClock::new(1_000);
        assert!(is_done(&mut clock.sleep_until(1_000)));
    }

    #[tokio::test]
    async fn who_waits_is_counted_by_kind_until_woken_or_dropped() {
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
    async fn a_moment_in_the_past_is_no_wait_on_the_system_clock_either() {
        SystemClock::start().sleep_until(0).await;
    }
}
