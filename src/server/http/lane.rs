//! Lanes for work that is long: how much of it is done at a time, and how much waits.
//!
//! A listing costs a worker some milliseconds, a large body one, a heartbeat some microseconds, and
//! all share the workers. With few listings at a time, a heartbeat waits for those few at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::ApiError;
use crate::server::registry::RegistryError;

/// How many wait for a slot. Beyond it the answer is 503 `overloaded`.
const MAX_WAITING: usize = 256;

/// The lane; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Lane {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Arc::default(),
        }
    }

    /// Waits for a slot, in the order of arrival.
    pub(super) async fn enter(&self) -> Result<LaneSlot, ApiError> {
        let overloaded = |_| ApiError::from(RegistryError::Overloaded);
        let slots = Arc::clone(&self.slots);
        let permit = match Arc::clone(&slots).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::begin(&self.waiting)?;
                slots.acquire_owned().await.map_err(overloaded)?
            }
        };
        Ok(LaneSlot(Rc::new(RefCell::new(Some(permit)))))
    }
}

/// The right to do some long work, to be kept until that is done. Its clones are the same slot: it
/// is free again as soon as one of them is dropped.
#[derive(Clone, Debug)]
pub(super) struct LaneSlot(Rc<RefCell<Option<OwnedSemaphorePermit>>>);

impl Drop for LaneSlot {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// One of those who wait; counted until it is dropped.
struct Waiting<'l>(&'l AtomicUsize);

impl<'l> Waiting<'l> {
    fn begin(waiting: &'l AtomicUsize) -> Result<Self, ApiError> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let begun = Self(waiting);
        if before < MAX_WAITING {
            Ok(begun)
        } else {
            Err(RegistryError::Overloaded.into())
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    async fn is_ready<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
    }

    #[tokio::test]
    async fn slots_go_to_those_who_wait_in_their_order() {
        let lane = Lane::new(2);
        let first = lane.enter().await.unwrap();
        let _second = lane.enter().await.unwrap();
        let mut third = Box::pin(lane.enter());
        let mut fourth = Box::pin(lane.enter());
        assert!(!is_ready(&mut third).await);
        assert!(!is_ready(&mut fourth).await);
        drop(first);
        assert!(!is_ready(&mut fourth).await);
        // Who hangs up is passed over.
        drop(third);
        assert!(is_ready(&mut fourth).await);
    }

    #[tokio::test]
    async fn beyond_the_queue_work_is_refused_and_those_who_hung_up_do_not_count() {
        let lane = Lane::new(1);
        let _held = lane.enter().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MAX_WAITING {
            let mut one = Box::pin(lane.enter());
            assert!(!is_ready(&mut one).await);
            waiting.push(one);
        }
        assert!(lane.enter().await.is_err());
        waiting.pop();
        let mut next = Box::pin(lane.enter());
        assert!(!is_ready(&mut next).await);
    }
}
