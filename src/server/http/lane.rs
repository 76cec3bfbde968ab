//! Limits on long work: how much of it runs at a time, and how much waits.
//!
//! A listing takes a worker some milliseconds, a large body one millisecond, a heartbeat some
//! microseconds, and all share the workers. With few listings at a time, a heartbeat waits for a
//! few listings at most.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address_block::AddressBlock;
use super::errors::ApiError;
use crate::server::registry::RegistryError;

/// The maximum number of requests that wait for a slot. Further ones get 503 `overloaded`.
const MAX_WAITING: usize = 256;

/// The maximum number of waiting requests from one address block, so that one client cannot fill the
/// queue.
const MAX_WAITING_PER_BLOCK: usize = MAX_WAITING / 4;

/// A limited number of slots and a queue for them; clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    slots: Arc<Semaphore>,
    queue: Arc<Mutex<Queue>>,
}

/// The requests that wait for a slot.
#[derive(Debug, Default)]
struct Queue {
    length: usize,
    per_block: HashMap<AddressBlock, usize>,
}

impl Lane {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            queue: Arc::default(),
        }
    }

    /// Waits for a slot, in the order of arrival. A client without a `block` is most likely a proxy,
    /// so it may fill the queue.
    pub(crate) async fn enter(&self, block: Option<AddressBlock>) -> Result<LaneSlot, ApiError> {
        let overloaded = |_| ApiError::from(RegistryError::Overloaded);
        let slots = Arc::clone(&self.slots);
        // Only a request that has to wait counts as waiting.
        let permit = match Arc::clone(&slots).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::begin(&self.queue, block)?;
                slots.acquire_owned().await.map_err(overloaded)?
            }
        };
        Ok(LaneSlot(Rc::new(RefCell::new(Some(permit)))))
    }
}

/// A permit for long work, held until the work is done. All clones are the same slot: dropping any
/// one of them frees it. The response drops its clone when it ends; the connection drops the other one
/// early if the client does not receive the response.
#[derive(Clone, Debug)]
pub(crate) struct LaneSlot(Rc<RefCell<Option<OwnedSemaphorePermit>>>);

impl Drop for LaneSlot {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// A waiting request, counted until this is dropped.
struct Waiting<'l> {
    queue: &'l Mutex<Queue>,
    block: Option<AddressBlock>,
}

impl<'l> Waiting<'l> {
    fn begin(mutex: &'l Mutex<Queue>, block: Option<AddressBlock>) -> Result<Self, ApiError> {
        let mut queue = lock(mutex);
        let in_block = block.and_then(|block| queue.per_block.get(&block).copied());
        if queue.length >= MAX_WAITING || in_block.unwrap_or(0) >= MAX_WAITING_PER_BLOCK {
            return Err(RegistryError::Overloaded.into());
        }
        queue.length += 1;
        if let Some(block) = block {
            *queue.per_block.entry(block).or_default() += 1;
        }
        Ok(Self {
            queue: mutex,
            block,
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = lock(self.queue);
        queue.length -= 1;
        if let Some(block) = self.block
            && let Entry::Occupied(mut waiting) = queue.per_block.entry(block)
        {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
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
        let first = lane.enter(None).await.unwrap();
        let _second = lane.enter(None).await.unwrap();
        let mut third = Box::pin(lane.enter(None));
        let mut fourth = Box::pin(lane.enter(None));
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
        let _held = lane.enter(None).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MAX_WAITING {
            let mut one = Box::pin(lane.enter(None));
            assert!(!is_ready(&mut one).await);
            waiting.push(one);
        }
        assert!(lane.enter(None).await.is_err());
        waiting.pop();
        let mut next = Box::pin(lane.enter(None));
        assert!(!is_ready(&mut next).await);
    }

    #[tokio::test]
    async fn one_address_cannot_fill_the_queue() {
        let lane = Lane::new(1);
        let block = |address: &str| AddressBlock::of(address.parse().unwrap());
        let (greedy, other) = (block("2001:db8::1"), block("198.51.100.7"));
        let held = lane.enter(greedy).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..MAX_WAITING_PER_BLOCK {
            let mut one = Box::pin(lane.enter(greedy));
            assert!(!is_ready(&mut one).await);
            waiting.push(one);
        }
        assert!(lane.enter(greedy).await.is_err());
        let mut honest = Box::pin(lane.enter(other));
        assert!(!is_ready(&mut honest).await);
        drop(waiting);
        assert!(
            lock(&lane.queue).per_block.len() == 1,
            "only the honest one waits"
        );
        drop(held);
        assert!(honest.await.is_ok());
        assert!(lock(&lane.queue).per_block.is_empty());
    }
}
