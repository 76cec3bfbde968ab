//! The state of a connection that its socket and the service above it share.
//!
//! actix-http reads all that its socket has, decodes all requests in that, and queues them in
//! memory. So the socket gives it only what it needs: a small read at a time while a head arrives,
//! nothing while a request is being handled, and as much of a body as its reader asks for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::{
    BODY_READ_BYTES, BODY_STEP_BYTES, FREE_INPUT_BYTES, HEAD_READ_BYTES, HEADER_COST_BYTES,
    LARGE_MESSAGE_BYTES, Timeouts,
};
use super::table::{Activity, Place};
use crate::clock::timer_now;
use crate::server::http::budget::{Charge, OverBudget};
use crate::server::http::lane::LaneSlot;

/// The current request and response of a connection; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Exchange(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    place: Place,
    max_head_bytes: usize,
    timeouts: Timeouts,
    phase: Cell<Phase>,
    /// Bytes given to actix-http since the last response began.
    given_bytes: Cell<usize>,
    /// Bytes of the body that its reader has asked for and not yet received.
    asked_bytes: Cell<usize>,
    /// Whether a handler has read the body of the request to its end.
    has_read_body: Cell<bool>,
    /// Whether actix-http must decode what it has before it gets more.
    must_pause: Cell<bool>,
    /// Wakes the task of the connection when the socket may read again.
    read_waker: RefCell<Option<Waker>>,
    input: RefCell<Charge>,
    response: Cell<Response>,
    /// The lane slot of the response.
    slot: RefCell<Option<LaneSlot>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The client must send the whole head of a request before `deadline`, which moves to an
    /// earlier time when the head begins.
    Head { deadline: Instant, has_begun: bool },
    /// The server handles the request. It limits its own time.
    Handle,
    /// The client may send the rest of a body that no handler reads.
    Discard { deadline: Instant },
}

/// The responses that the socket has not accepted completely. A client can pipeline requests, so
/// there can be more than one.
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    /// The deadline of the oldest one.
    oldest_deadline: Option<Instant>,
    /// The deadline of the one that began last.
    latest_deadline: Option<Instant>,
    /// Whether the body of the latest one is not complete yet.
    has_more: bool,
    /// Whether the latest one is large, so that the kernel's send buffer should grow.
    is_large: bool,
}

/// How much the socket may read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// At most this number of bytes.
    AtMost(usize),
    /// Nothing until actix-http has decoded what it has.
    Pause,
    /// Nothing until the waker of [`Exchange::set_read_waker`] is woken.
    Wait,
    /// Nothing any more, because the head is too long.
    HeadTooLong,
}

/// What happens when the deadline of the client passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// The connection is closed without a response: no request has begun, or an unread body did
    /// not end.
    Idle,
    /// The client gets 408: it has not sent the rest of a head.
    Head,
}

/// The size of a request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSize {
    /// The length of the target and of all headers, in bytes.
    pub(crate) bytes: usize,
    pub(crate) headers: usize,
}

impl Exchange {
    pub(crate) fn new(place: Place, max_head_bytes: usize, timeouts: Timeouts) -> Self {
        let input = RefCell::new(place.input_charge());
        Self(Rc::new(Shared {
            place,
            max_head_bytes,
            timeouts,
            phase: Cell::new(Phase::Head {
                deadline: timer_now() + timeouts.head,
                has_begun: false,
            }),
            given_bytes: Cell::new(0),
            asked_bytes: Cell::new(0),
            has_read_body: Cell::new(false),
            must_pause: Cell::new(false),
            read_waker: RefCell::new(None),
            input,
            response: Cell::default(),
            slot: RefCell::new(None),
        }))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// The time limit for the head of a request to arrive.
    pub(crate) fn head_timeout(&self) -> Duration {
        self.0.timeouts.head
    }

    pub(crate) fn max_head_bytes(&self) -> usize {
        self.0.max_head_bytes
    }

    /// Returns how much the socket may read now.
    pub(crate) fn reading(&self) -> Reading {
        if self.0.must_pause.replace(false) {
            return Reading::Pause;
        }
        match self.0.phase.get() {
            Phase::Head { .. } => {
                // The count is not exact, since a read can also contain bytes of the request before.
                // So this limit is one read higher; `begin_request` checks the exact one.
                if self.0.given_bytes.get() >= self.0.max_head_bytes + HEAD_READ_BYTES {
                    return Reading::HeadTooLong;
                }
                Reading::AtMost(HEAD_READ_BYTES)
            }
            // Reading ahead would let a client queue decoded requests without end.
            Phase::Handle => match self.0.asked_bytes.get() {
                0 => Reading::Wait,
                asked => Reading::AtMost(asked.min(BODY_READ_BYTES)),
            },
            Phase::Discard { .. } => Reading::AtMost(BODY_READ_BYTES),
        }
    }

    /// Sets the waker to wake when the socket may read again.
    pub(crate) fn set_read_waker(&self, waker: &Waker) {
        self.0.read_waker.replace(Some(waker.clone()));
    }

    /// Records that the socket has read `bytes` of at most `max_bytes`.
    pub(crate) fn received(&self, bytes: usize, max_bytes: usize) -> Result<(), OverBudget> {
        let given = self.0.given_bytes.get() + bytes;
        self.0.given_bytes.set(given);
        match self.0.phase.get() {
            Phase::Head {
                deadline,
                has_begun,
            } => {
                // A full read can contain the end of a head. actix-http must decode it, which
                // begins the request, before it reads bytes of the next one.
                self.0.must_pause.set(bytes == max_bytes);
                if !has_begun {
                    // The time for a head counts from its first byte. Further bytes do not extend it.
                    let now = timer_now();
                    self.0.phase.set(Phase::Head {
                        deadline: deadline.min(now + self.0.timeouts.head),
                        has_begun: true,
                    });
                    self.0.place.record(Activity::Receiving, now);
                }
                self.charge(given)
            }
            Phase::Handle => {
                let asked = self.0.asked_bytes.get();
                self.0.asked_bytes.set(asked.saturating_sub(bytes));
                Ok(())
            }
            Phase::Discard { .. } => {
                self.0.must_pause.set(bytes == max_bytes);
                Ok(())
            }
        }
    }

    fn charge(&self, bytes: usize) -> Result<(), OverBudget> {
        if bytes <= FREE_INPUT_BYTES {
            return Ok(());
        }
        self.0.input.borrow_mut().raise_to(bytes)
    }

    /// Returns the deadline of the client and what happens then, or `None` while the server handles
    /// a request.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timeout)> {
        match self.0.phase.get() {
            Phase::Head {
                deadline,
                has_begun,
            } => {
                let timeout = if has_begun {
                    Timeout::Head
                } else {
                    Timeout::Idle
                };
                Some((deadline, timeout))
            }
            Phase::Handle => None,
            Phase::Discard { deadline } => Some((deadline, Timeout::Idle)),
        }
    }

    /// Records that a head has arrived, and checks its size.
    pub(crate) fn begin_request(&self, head: HeadSize) -> Result<(), BadHead> {
        let shared = &self.0;
        // Nothing more is read until a handler asks for the body.
        shared.phase.set(Phase::Handle);
        shared.asked_bytes.set(0);
        shared.has_read_body.set(false);
        shared.place.change_activity(Activity::Busy);
        if head.bytes > shared.max_head_bytes {
            return Err(BadHead::TooLong {
                max_bytes: shared.max_head_bytes,
            });
        }
        // Without the entries in the hash table, many short headers would cost more than is charged.
        let cost = shared.given_bytes.get() + head.headers * HEADER_COST_BYTES;
        self.charge(cost).map_err(BadHead::OverBudget)
    }

    /// Lets the socket read more of the body: its reader waits for it.
    pub(crate) fn ask_for_body(&self) {
        // Once the response has begun, a body is only discarded.
        if matches!(self.0.phase.get(), Phase::Handle) {
            // The server waits for the client again, so the connection may be evicted.
            self.0.place.change_activity(Activity::Receiving);
            self.0.asked_bytes.set(BODY_STEP_BYTES);
            self.wake_reader();
        }
    }

    /// Records that the reader of the body has all of it.
    pub(crate) fn end_body(&self) {
        if matches!(self.0.phase.get(), Phase::Handle) {
            self.0.place.change_activity(Activity::Busy);
            self.0.asked_bytes.set(0);
            self.0.has_read_body.set(true);
        }
    }

    /// Whether a handler has read the body of the request to its end.
    pub(crate) fn has_read_body(&self) -> bool {
        self.0.has_read_body.get()
    }

    /// Records that the response begins, with a body of `bytes`, or of unknown length if `None`.
    /// Returns whether the connection may be reused after it.
    pub(crate) fn begin_response(&self, bytes: Option<u64>, has_unread_body: bool) -> bool {
        let shared = &self.0;
        let now = timer_now();
        shared.phase.set(if has_unread_body {
            Phase::Discard {
                deadline: now + shared.timeouts.body,
            }
        } else {
            Phase::Head {
                deadline: now + shared.timeouts.keep_alive,
                has_begun: false,
            }
        });
        let is_large = bytes.is_none_or(|bytes| bytes > LARGE_MESSAGE_BYTES);
        // A stream may last for any time, so it has no deadline.
        let deadline = bytes.map(|_| now + shared.timeouts.response);
        let before = shared.response.get();
        // A response before this one may still be in the socket. Its deadline comes first.
        shared.response.set(Response {
            oldest_deadline: before.oldest_deadline.or(deadline),
            latest_deadline: deadline,
            has_more: true,
            is_large,
        });
        shared.place.record(Activity::Idle, now);
        // A long request made the read buffer grow, as a large response does with the write buffer.
        let is_long_request = shared.given_bytes.replace(0) as u64 > LARGE_MESSAGE_BYTES;
        // The handler has returned, so actix-http needs the request no longer.
        shared.input.borrow_mut().release();
        self.wake_reader();
        !(is_large || is_long_request) || shared.place.keep_large_buffers()
    }

    /// Sets the lane slot of the response. It loses the slot if its client does not receive it.
    pub(crate) fn set_slot(&self, slot: LaneSlot) {
        self.0.slot.replace(Some(slot));
    }

    /// Whether the response has a lane slot.
    pub(crate) fn has_slot(&self) -> bool {
        self.0.slot.borrow().is_some()
    }

    /// Releases the lane slot of the response.
    pub(crate) fn release_slot(&self) {
        self.0.slot.replace(None);
    }

    /// Records that actix-http has all of the latest response, or dropped it.
    pub(crate) fn end_response(&self) {
        self.release_slot();
        let mut response = self.0.response.get();
        response.has_more = false;
        self.0.response.set(response);
    }

    /// Returns when the client must have received the oldest response.
    pub(crate) fn response_deadline(&self) -> Option<Instant> {
        self.0.response.get().oldest_deadline
    }

    /// Whether the latest response is large.
    pub(crate) fn is_large_response(&self) -> bool {
        self.0.response.get().is_large
    }

    /// Records that the client receives nothing at present.
    pub(crate) fn stall(&self) {
        // Computes when the oldest response began: the table evicts those that began first.
        let since = self.response_deadline().map_or_else(timer_now, |deadline| {
            deadline
                .checked_sub(self.0.timeouts.response)
                .unwrap_or(deadline)
        });
        self.0.place.stall(since);
    }

    /// Records that the socket has accepted all that actix-http has written.
    pub(crate) fn flushed(&self, had_stalled: bool) {
        let mut response = self.0.response.get();
        // The older responses are gone. The latest one keeps its deadline until its body ends.
        response.oldest_deadline = response.latest_deadline.filter(|_| response.has_more);
        self.0.response.set(response);
        if !had_stalled {
            return;
        }
        self.0.place.unstall();
        let now = timer_now();
        match self.0.phase.get() {
            // The client could not send while its response waited, so its time begins only now.
            Phase::Head { has_begun, .. } => {
                let (limit, activity) = if has_begun {
                    (self.0.timeouts.head, Activity::Receiving)
                } else {
                    (self.0.timeouts.keep_alive, Activity::Idle)
                };
                self.0.phase.set(Phase::Head {
                    deadline: now + limit,
                    has_begun,
                });
                self.0.place.record(activity, now);
            }
            Phase::Handle => self.0.place.record(Activity::Busy, now),
            Phase::Discard { .. } => self.0.place.record(Activity::Receiving, now),
        }
    }

    fn wake_reader(&self) {
        if let Some(waker) = self.0.read_waker.take() {
            waker.wake();
        }
    }
}

/// Why the head of a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHead {
    #[error("the head is longer than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error(transparent)]
    OverBudget(OverBudget),
}

#[cfg(test)]
mod tests;
