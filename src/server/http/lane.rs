//! Limits on long work: how much of it runs at a time, and how much waits.
//!
//! A listing takes a worker some milliseconds, a large body one millisecond, a heartbeat some
//! microseconds, and all share the workers. With few listings at a time, a heartbeat waits for a
//! few listings at most.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::ApiError;
use crate::server::registry::RegistryError;

/// The maximum number of requests that wait for a slot. Further ones get 503 `overloaded`.
const MAX_WAITING: usize = 256;

/// A limited number of slots and a queue for them; clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Lane {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Arc::default(),
        }
    }

    /// Waits for a slot, in the order of arrival.
    pub(crate) async fn enter(&self) -> Result<LaneSlot, ApiError> {
        let overloaded = |_| ApiError::from(RegistryError::Overloaded);
        let slots = Arc::clone(&self.slots);
        // Only a request that has to wait counts as waiting.
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

/// A permit for long work, held until the work is done. All clones are the same slot: dropping any
/// one of them frees it: the response drops its clone when it ends, and the connection drops the other
/// one early if the client does not receive the response.
#[derive(Clone, Debug)]
pub(crate) struct LaneSlot(Rc<RefCell<Option<OwnedSemaphorePermit>>>);

impl Drop for LaneSlot {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// A waiting request, counted until this is dropped.
struct Waiting<'l>(&'l AtomicUsize);

impl<'l> Waiting<'l> {
    fn begin(waiting: &'l AtomicUsize) -> Result<Self, ApiError> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        // Created before the check, so that dropping it on failure undoes the count.
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
    async fn waiting_requests_get_slots_in_the_order_of_arrival() {
        let lane = Lane::new(2);
        let first = lane.enter().await.unwrap();
        let _second = lane.enter().await.unwrap();
        let mut third = Box::pin(lane.enter());
        let mut fourth = Box::pin(lane.enter());
        assert!(!is_ready(&mut third).await);
        assert!(!is_ready(&mut fourth).await);
        drop(first);
        assert!(!is_ready(&mut fourth).await);
        // A client that disconnects loses its place in the queue.
        drop(third);
        assert!(is_ready(&mut fourth).await);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_work_and_does_not_count_clients_that_disconnected() {
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
