//! Futures that wait on a manual clock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{oneshot, watch};

use super::timer::Sleep;

/// How many sleepers wait on a [`ManualClock`](super::ManualClock).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Sleepers that wait for the time of their next plan.
    pub plans: usize,
    /// Sleepers that guard a pending request with a timeout.
    pub guards: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plan,
    Guard,
}

/// The sleepers, ordered by wake-up time.
#[derive(Debug, Default)]
pub(crate) struct Sleepers {
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

impl Sleepers {
    /// Adds a sleeper that wakes at `at_ms`.
    pub(crate) fn sleep(&self, at_ms: i64, kind: Kind) -> Sleep {
        let (waker, woken) = oneshot::channel();
        let key = self.queue.add(at_ms, kind, waker);
        Box::pin(ManualSleep {
            queue: Arc::clone(&self.queue),
            key,
            woken,
        })
    }

    /// Wakes all sleepers whose time is at or before `now_ms`.
    pub(crate) fn wake(&self, now_ms: i64) {
        self.queue.wake(now_ms);
    }

    /// The earliest wake-up time of a kind, in Unix milliseconds; `None` without a sleeper.
    pub(crate) fn earliest_ms(&self, kind: Kind) -> Option<i64> {
        self.queue.earliest_ms(kind)
    }

    /// Subscribes to the number of sleepers.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Waiting> {
        self.queue.waiting.subscribe()
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
            // The receiver may have been dropped meanwhile; then there is nothing to wake.
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

/// An entry in the queue; dropping it removes the entry.
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
