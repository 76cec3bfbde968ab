//! What the socket of a connection and the service above it tell each other.
//!
//! actix-http reads whatever its socket gives it, decodes all requests in it, and keeps them. So
//! the socket gives no more than is needed: a little at a time while a head is awaited, nothing
//! while a request is being answered, and of a body as much as its reader asks for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::table::{Activity, Place};
use crate::clock::timer_now;
use crate::server::http::budget::{Charge, OverBudget};
use crate::server::http::lane::LaneSlot;

/// How long the head of a request may take to arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Heartbeats come every two minutes, so a connection serves
/// one burst of requests, not a node's whole life.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a body that nobody reads may go on arriving.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a head that actix-http is given before it has to look at them. Many small requests in
/// few bytes become large as they are decoded, up to 50 times, so these are few; the heads of real
/// requests fit.
pub const HEAD_READ_BYTES: usize = 1024;

/// Bytes that are read at once of a body.
pub const BODY_READ_BYTES: usize = 4096;

/// Bytes of a body that its reader asks for at a time.
const BODY_STEP_BYTES: usize = 16 << 10;

/// Bytes of a half-received request that every connection may hold.
const FREE_INPUT_BYTES: usize = 4096;

/// What a header costs beside its bytes: its place in a hash table that is half empty.
const HEADER_COST_BYTES: usize = 200;

/// A response larger than this makes actix-http's buffer of a connection grow.
const LARGE_RESPONSE_BYTES: u64 = 8 << 10;

/// A request and its response on one connection; clones share it.
#[derive(Clone, Debug)]
pub struct Exchange(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    place: Place,
    max_head_bytes: usize,
    response_timeout: Duration,
    phase: Cell<Phase>,
    /// Bytes given to actix-http since the phase began.
    given_bytes: Cell<usize>,
    /// Bytes of the body that its reader has asked for and not been given.
    asked_bytes: Cell<usize>,
    /// Whether the body of the request has been read to its end.
    has_read_body: Cell<bool>,
    /// Whether actix-http has to look at what it was given before it gets more.
    must_pause: Cell<bool>,
    /// Wakes the connection when it may read again.
    held: RefCell<Option<Waker>>,
    input: RefCell<Charge>,
    response: Cell<Response>,
    /// The slot that the response has in a lane.
    slot: RefCell<Option<LaneSlot>>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The client has to send the whole head of a request until a moment, which comes soon once
    /// it has begun.
    Head { until: Instant, has_begun: bool },
    /// The server answers; it limits its own time.
    Answer,
    /// The client may send the rest of a body that nobody reads.
    Discard { until: Instant },
}

/// What of responses the socket has not taken yet.
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    /// When the oldest one has to be gone.
    oldest_until: Option<Instant>,
    /// When the one that began last has to be gone.
    latest_until: Option<Instant>,
    /// Whether the body of the latest has more to come.
    has_more: bool,
    /// Whether the kernel should take more of it at a time.
    is_large: bool,
}

/// What the socket may read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// At most so many bytes.
    AtMost(usize),
    /// Nothing, until actix-http has looked at what it has.
    Pause,
    /// Nothing, until [`Exchange::hold`] wakes.
    Hold,
    /// Nothing ever, as the head is too long.
    HeadTooLong,
}

/// What the client fails to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// Nothing that it has begun.
    Idle,
    /// To send the rest of a head.
    Head,
}

/// What is known of a request when its head has arrived.
#[derive(Clone, Copy, Debug)]
pub struct HeadSize {
    /// Bytes of the target, and of the names and values of all headers.
    pub bytes: usize,
    pub headers: usize,
}

impl Exchange {
    pub fn new(place: Place, max_head_bytes: usize, response_timeout: Duration) -> Self {
        let input = RefCell::new(place.input_charge());
        Self(Rc::new(Shared {
            place,
            max_head_bytes,
            response_timeout,
            phase: Cell::new(Phase::Head {
                until: timer_now() + HEAD_TIMEOUT,
                has_begun: false,
            }),
            given_bytes: Cell::new(0),
            asked_bytes: Cell::new(0),
            has_read_body: Cell::new(false),
            must_pause: Cell::new(false),
            held: RefCell::new(None),
            input,
            response: Cell::default(),
            slot: RefCell::new(None),
        }))
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    pub fn max_head_bytes(&self) -> usize {
        self.0.max_head_bytes
    }

    /// What the socket may read now.
    pub fn reading(&self) -> Reading {
        if self.0.must_pause.replace(false) {
            return Reading::Pause;
        }
        match self.0.phase.get() {
            Phase::Head { .. } => {
                // What is left over from the read before may belong to this head or not, so a
                // little more than the limit is let through. The limit itself is checked later.
                if self.0.given_bytes.get() >= self.0.max_head_bytes + HEAD_READ_BYTES {
                    return Reading::HeadTooLong;
                }
                Reading::AtMost(HEAD_READ_BYTES)
            }
            Phase::Answer => match self.0.asked_bytes.get() {
                0 => Reading::Hold,
                asked => Reading::AtMost(asked.min(BODY_READ_BYTES)),
            },
            Phase::Discard { .. } => Reading::AtMost(BODY_READ_BYTES),
        }
    }

    /// Has `waker` woken when the socket may read again.
    pub fn hold(&self, waker: &Waker) {
        self.0.held.replace(Some(waker.clone()));
    }

    /// The socket has read `bytes` of the `max_bytes` that it might.
    pub fn received(&self, bytes: usize, max_bytes: usize) -> Result<(), OverBudget> {
        let given = self.0.given_bytes.get() + bytes;
        self.0.given_bytes.set(given);
        match self.0.phase.get() {
            Phase::Head { until, has_begun } => {
                self.0.must_pause.set(bytes == max_bytes);
                if !has_begun {
                    let now = timer_now();
                    self.0.phase.set(Phase::Head {
                        until: until.min(now + HEAD_TIMEOUT),
                        has_begun: true,
                    });
                    self.0.place.note(Activity::Receiving, now);
                }
                self.charge(given)
            }
            Phase::Answer => {
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

    /// When the client is late, and with what. `None` while the server is at work.
    pub fn deadline(&self) -> Option<(Instant, Lateness)> {
        match self.0.phase.get() {
            Phase::Head { until, has_begun } => {
                let lateness = if has_begun {
                    Lateness::Head
                } else {
                    Lateness::Idle
                };
                Some((until, lateness))
            }
            Phase::Answer => None,
            Phase::Discard { until } => Some((until, Lateness::Idle)),
        }
    }

    /// A head has arrived.
    pub fn begin_answer(&self, head: HeadSize) -> Result<(), BadHead> {
        let shared = &self.0;
        shared.phase.set(Phase::Answer);
        shared.asked_bytes.set(0);
        shared.has_read_body.set(false);
        shared.place.note_also(Activity::Busy);
        if head.bytes > shared.max_head_bytes {
            return Err(BadHead::TooLong {
                max_bytes: shared.max_head_bytes,
            });
        }
        let cost = shared.given_bytes.get() + head.headers * HEADER_COST_BYTES;
        self.charge(cost).map_err(BadHead::OverBudget)
    }

    /// The reader of a body has taken all that has arrived, and waits for more.
    pub fn ask_for_body(&self) {
        if matches!(self.0.phase.get(), Phase::Answer) {
            self.0.place.note_also(Activity::Receiving);
            self.0.asked_bytes.set(BODY_STEP_BYTES);
            self.wake_held();
        }
    }

    /// The reader of a body has all of it.
    pub fn end_body(&self) {
        if matches!(self.0.phase.get(), Phase::Answer) {
            self.0.place.note_also(Activity::Busy);
            self.0.asked_bytes.set(0);
            self.0.has_read_body.set(true);
        }
    }

    /// Whether the body of the request has been read to its end.
    pub fn has_read_body(&self) -> bool {
        self.0.has_read_body.get()
    }

    /// The response is known and will be sent: `bytes` of it, or a stream of any length. Tells
    /// whether the connection may be kept after it.
    pub fn end_answer(&self, bytes: Option<u64>, has_unread_body: bool) -> bool {
        let shared = &self.0;
        let now = timer_now();
        shared.phase.set(if has_unread_body {
            Phase::Discard {
                until: now + DISCARD_TIMEOUT,
            }
        } else {
            Phase::Head {
                until: now + KEEP_ALIVE,
                has_begun: false,
            }
        });
        let is_large = bytes.is_none_or(|bytes| bytes > LARGE_RESPONSE_BYTES);
        // A stream has no end that could be waited for.
        let until = bytes.map(|_| now + shared.response_timeout);
        let before = shared.response.get();
        shared.response.set(Response {
            oldest_until: before.oldest_until.or(until),
            latest_until: until,
            has_more: true,
            is_large,
        });
        shared.place.note(Activity::Idle, now);
        let is_long = shared.given_bytes.replace(0) as u64 > LARGE_RESPONSE_BYTES;
        shared.input.borrow_mut().release();
        self.wake_held();
        !(is_large || is_long) || shared.place.grow()
    }

    /// The response was given a slot in a lane, which it loses when its client lets it wait.
    pub fn lend(&self, slot: LaneSlot) {
        self.0.slot.replace(Some(slot));
    }

    /// Whether the response has a slot in a lane.
    pub fn has_slot(&self) -> bool {
        self.0.slot.borrow().is_some()
    }

    /// The slot of the response goes to the next one.
    pub fn lose_slot(&self) {
        self.0.slot.replace(None);
    }

    /// Nothing more of the body of the latest response is to come.
    pub fn end_response(&self) {
        self.lose_slot();
        let mut response = self.0.response.get();
        response.has_more = false;
        self.0.response.set(response);
    }

    /// When the socket has to have taken the oldest response.
    pub fn response_until(&self) -> Option<Instant> {
        self.0.response.get().oldest_until
    }

    /// Whether the response is larger than most.
    pub fn is_large_response(&self) -> bool {
        self.0.response.get().is_large
    }

    /// The client takes nothing at present.
    pub fn stall(&self) {
        let since = self.response_until().map_or_else(timer_now, |until| {
            until.checked_sub(self.0.response_timeout).unwrap_or(until)
        });
        self.0.place.stall(since);
    }

    /// The socket has taken all that it was given.
    pub fn flushed(&self, had_stalled: bool) {
        let mut response = self.0.response.get();
        response.oldest_until = response.latest_until.filter(|_| response.has_more);
        self.0.response.set(response);
        if !had_stalled {
            return;
        }
        self.0.place.unstall();
        let now = timer_now();
        match self.0.phase.get() {
            // It took a while; only now is it the client's turn.
            Phase::Head { has_begun, .. } => {
                let (limit, activity) = if has_begun {
                    (HEAD_TIMEOUT, Activity::Receiving)
                } else {
                    (KEEP_ALIVE, Activity::Idle)
                };
                let until = now + limit;
                self.0.phase.set(Phase::Head { until, has_begun });
                self.0.place.note(activity, now);
            }
            Phase::Answer => self.0.place.note(Activity::Busy, now),
            Phase::Discard { .. } => self.0.place.note(Activity::Receiving, now),
        }
    }

    fn wake_held(&self) {
        if let Some(waker) = self.0.held.take() {
            waker.wake();
        }
    }
}

/// Why a request is refused for its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the head is longer than {max_bytes} bytes")]
    TooLong { max_bytes: usize },
    #[error(transparent)]
    OverBudget(OverBudget),
}

#[cfg(test)]
mod tests;
