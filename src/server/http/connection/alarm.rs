//! A timer for the deadlines of a connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::deadline_in;

/// A timer that is reset rarely: when the deadline moves to a later time, the timer fires at the
/// old time and is reset then. So a busy connection does not reset it with each request.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Returns ready once `deadline` has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        // Waits for the earlier time first, which costs less than a reset with every request.
        while sleep.deadline() < deadline {
            ready!(sleep.as_mut().poll(cx));
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }

    /// Makes sure that the task is woken within `limit`, for a task that has no deadline now but
    /// may have one by then. A timer that is set already is not changed.
    pub(crate) fn keep_set(&mut self, cx: &mut Context<'_>, limit: Duration) {
        if self.0.as_ref().is_none_or(|sleep| sleep.is_elapsed()) {
            // The poll registers the task with the timer. A timer that is due already registers
            // nothing, so the task is woken directly.
            let deadline = deadline_in(limit);
            if self.poll(cx, deadline).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }
}
