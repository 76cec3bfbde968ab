//! A timer for the deadlines of a connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::deadline_in;

/// A timer that is set as rarely as possible: one that rings too early is set anew only then, so
/// that a busy connection does not set it with each request.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Is ready at `until`.
    pub fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        while sleep.deadline() < until {
            ready!(sleep.as_mut().poll(cx));
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx)
    }

    /// Sees to it that the alarm rings within `limit`, for who has no deadline now and may have
    /// one then. One that is set already stays as it is.
    pub fn keep_set(&mut self, cx: &mut Context<'_>, limit: Duration) {
        if self.0.as_ref().is_none_or(|sleep| sleep.is_elapsed()) {
            let until = deadline_in(limit);
            if self.poll(cx, until).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }
}
