//! Connections that nobody holds open by dawdling.
//!
//! actix-http limits the time of a connection's first head and of its idle stretches. What it does
//! not limit is limited here, below it, at the socket: later heads, the rest of a body that was
//! answered before it had arrived, and answers that the client does not take.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{HEAD_TIMEOUT, KEEP_ALIVE};
use crate::clock::deadline_in;
use crate::server::registry::SentBytes;

/// How much later than actix-http this cuts off what both limit, since actix-http says goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client may take nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Whose turn it is on a connection; the socket and the service above it share it.
#[derive(Clone, Debug)]
pub(super) struct Turn(Rc<Cell<State>>);

#[derive(Clone, Copy, Debug)]
enum State {
    /// The client's: it has to send the whole head of a request until a moment, which comes soon
    /// once it has begun.
    Client { until: Instant, has_begun: bool },
    /// The server's, which limits its own time.
    Server,
}

impl Turn {
    fn client() -> Self {
        Self(Rc::new(Cell::new(State::idle())))
    }

    /// A head has arrived.
    pub(super) fn begin_answer(&self) {
        self.0.set(State::Server);
    }

    /// The answer is known.
    pub(super) fn end_answer(&self) {
        self.0.set(State::idle());
    }

    /// The client has sent something.
    fn received(&self) {
        if let State::Client {
            until,
            has_begun: false,
        } = self.0.get()
        {
            self.0.set(State::Client {
                until: until.min(deadline_in(HEAD_TIMEOUT + GRACE)),
                has_begun: true,
            });
        }
    }

    /// The client has taken something, and may need some time to say more.
    fn sent(&self) {
        if let State::Client { until, has_begun } = self.0.get() {
            let longer = if has_begun { HEAD_TIMEOUT } else { KEEP_ALIVE } + GRACE;
            self.0.set(State::Client {
                until: until.max(deadline_in(longer)),
                has_begun,
            });
        }
    }
}

impl State {
    fn idle() -> Self {
        Self::Client {
            until: deadline_in(KEEP_ALIVE + GRACE),
            has_begun: false,
        }
    }
}

/// A socket that fails with [`io::ErrorKind::TimedOut`] when its client dawdles.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    sent: SentBytes,
    turn: Turn,
    read_alarm: Alarm,
    write_alarm: Alarm,
    /// When the client must have taken something, while it takes nothing.
    write_until: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, sent: SentBytes) -> Self {
        Self {
            stream,
            sent,
            turn: Turn::client(),
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            write_until: None,
        }
    }

    pub(super) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// Makes of a write what it comes to in the light of the time it takes.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = &write {
            self.sent.add(*result.as_ref().unwrap_or(&0));
            self.write_until = None;
            self.turn.sent();
            return write;
        }
        let until = *self
            .write_until
            .get_or_insert_with(|| deadline_in(WRITE_TIMEOUT));
        ready!(self.write_alarm.poll(cx, until));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.turn.received();
            return read;
        }
        if let State::Client { until, .. } = self.turn.0.get() {
            ready!(self.read_alarm.poll(cx, until));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A timer that is set as seldom as can be: one that rings too early is set anew only then, so
/// that a busy connection does not set it with each request.
#[derive(Debug, Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Is ready at `until`.
    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
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
}
