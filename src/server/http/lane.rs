//! Lanes for work that is long: how much of it is done at a time, and how much waits.
//!
//! A listing costs a worker some milliseconds, a large body one, a heartbeat some microseconds, and
//! all share the workers. With few listings at a time, a heartbeat waits for those few at most.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::errors::ApiError;
use crate::clock::timer_now;
use crate::server::registry::RegistryError;

/// How many wait for a slot. Beyond it the answer is 503 `overloaded`.
const MAX_WAITING: usize = 256;

/// The lane; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    max_slots: usize,
    /// How long a slot is held at most. Who takes longer goes on without.
    max_hold: Duration,
    /// Slots in use, the oldest first: their numbers, and since when.
    held: VecDeque<(u64, Instant)>,
    next_number: u64,
    /// Who waits for a slot, the first one first.
    waiting: VecDeque<oneshot::Sender<u64>>,
}

/// The right to do some long work, to be kept until that is done.
#[derive(Debug)]
pub(super) struct LaneSlot {
    lane: Lane,
    number: u64,
}

impl Lane {
    pub(super) fn new(max_slots: usize, max_hold: Duration) -> Self {
        Self(Arc::new(Mutex::new(State {
            max_slots,
            max_hold,
            held: VecDeque::new(),
            next_number: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a slot, in the order of arrival.
    pub(super) async fn enter(&self) -> Result<LaneSlot, ApiError> {
        let mut turn = match self.lock().ask(timer_now()) {
            Asked::Granted(number) => return Ok(self.slot(number)),
            Asked::Refused => return Err(RegistryError::Overloaded.into()),
            Asked::Waits(turn) => turn,
        };
        loop {
            let until = self.lock().next_expiry();
            match timeout_at(until, &mut turn).await {
                Ok(Ok(number)) => return Ok(self.slot(number)),
                // The lane outlives who waits in it.
                Ok(Err(_)) => return Err(RegistryError::Overloaded.into()),
                Err(_) => self.lock().hand_on(timer_now()),
            }
        }
    }

    fn slot(&self, number: u64) -> LaneSlot {
        LaneSlot {
            lane: self.clone(),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Asked {
    Granted(u64),
    Waits(oneshot::Receiver<u64>),
    Refused,
}

impl State {
    fn ask(&mut self, now: Instant) -> Asked {
        if self.held.len() >= self.max_slots || !self.waiting.is_empty() {
            self.hand_on(now);
        }
        if self.held.len() < self.max_slots {
            return Asked::Granted(self.grant(now));
        }
        if self.waiting.len() >= MAX_WAITING {
            // Some may have hung up.
            self.waiting.retain(|waiting| !waiting.is_closed());
        }
        if self.waiting.len() >= MAX_WAITING {
            return Asked::Refused;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back(sender);
        Asked::Waits(receiver)
    }

    fn grant(&mut self, now: Instant) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.held.push_back((number, now));
        number
    }

    /// Takes the slots of those who held them for too long, and gives free ones to who waits.
    fn hand_on(&mut self, now: Instant) {
        while self
            .held
            .front()
            .is_some_and(|&(_, since)| since + self.max_hold <= now)
        {
            self.held.pop_front();
        }
        while self.held.len() < self.max_slots {
            let Some(waiting) = self.waiting.pop_front() else {
                return;
            };
            let number = self.grant(now);
            if waiting.send(number).is_err() {
                self.held.pop_back();
            }
        }
    }

    fn give_back(&mut self, number: u64) {
        let at = self.held.iter().position(|&(held, _)| held == number);
        // One that was held for too long is another one's already.
        if let Some(at) = at {
            self.held.remove(at);
            if !self.waiting.is_empty() {
                self.hand_on(timer_now());
            }
        }
    }

    /// When the oldest slot in use is free at the latest.
    fn next_expiry(&self) -> Instant {
        let oldest = self.held.front().map(|&(_, since)| since);
        oldest.unwrap_or_else(timer_now) + self.max_hold
    }
}

impl Drop for LaneSlot {
    fn drop(&mut self) {
        self.lane.lock().give_back(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::task::Poll;

    use super::*;

    const MAX_HOLD: Duration = Duration::from_millis(25);

    fn state() -> (State, Instant) {
        let lane = Lane::new(2, MAX_HOLD);
        let state = Arc::into_inner(lane.0).unwrap().into_inner().unwrap();
        (state, timer_now())
    }

    fn granted(asked: Asked) -> u64 {
        match asked {
            Asked::Granted(number) => number,
            Asked::Waits(_) | Asked::Refused => panic!("no slot"),
        }
    }

    fn waits(asked: Asked) -> oneshot::Receiver<u64> {
        match asked {
            Asked::Waits(turn) => turn,
            Asked::Granted(_) | Asked::Refused => panic!("it does not wait"),
        }
    }

    #[test]
    fn slots_go_to_those_who_wait_in_their_order() {
        let (mut state, now) = state();
        let first = granted(state.ask(now));
        let second = granted(state.ask(now));
        let mut third = waits(state.ask(now));
        let mut fourth = waits(state.ask(now));
        drop(waits(state.ask(now)));
        let mut sixth = waits(state.ask(now));
        state.give_back(second);
        assert!(third.try_recv().is_ok());
        assert!(fourth.try_recv().is_err());
        state.give_back(first);
        let fourth = fourth.try_recv().unwrap();
        assert!(sixth.try_recv().is_err());
        state.give_back(fourth);
        assert!(sixth.try_recv().is_ok(), "the fifth has hung up");
    }

    #[test]
    fn listings_whose_clients_do_not_read_do_not_close_the_lane() {
        let (mut state, now) = state();
        let stalled = [granted(state.ask(now)), granted(state.ask(now))];
        let mut third = waits(state.ask(now));
        state.hand_on(now + MAX_HOLD / 2);
        assert!(third.try_recv().is_err());
        assert_eq!(state.next_expiry(), now + MAX_HOLD);
        state.hand_on(now + MAX_HOLD);
        let third = third.try_recv().unwrap();
        // A slot that was taken is not given back for another one.
        stalled
            .into_iter()
            .for_each(|number| state.give_back(number));
        assert_eq!(state.held.len(), 1);
        state.give_back(third);
        assert!(state.held.is_empty());
    }

    #[test]
    fn beyond_the_queue_listings_are_refused_and_those_who_hung_up_do_not_count() {
        let (mut state, now) = state();
        let _held = [granted(state.ask(now)), granted(state.ask(now))];
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| waits(state.ask(now))).collect();
        assert!(matches!(state.ask(now), Asked::Refused));
        waiting.pop();
        waits(state.ask(now));
    }

    #[tokio::test]
    async fn who_waits_enters_when_a_slot_is_dropped() {
        let lane = Lane::new(2, MAX_HOLD);
        let held = (lane.enter().await.unwrap(), lane.enter().await.unwrap());
        let mut third = Box::pin(lane.enter());
        let early = poll_fn(|cx| Poll::Ready(third.as_mut().poll(cx).is_ready()));
        assert!(!early.await);
        drop(held);
        third.await.unwrap();
        assert!(lane.lock().held.is_empty());
    }
}
