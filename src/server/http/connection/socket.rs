//! A socket that limits what its client may take in time and bytes.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::closed::Reason;
use super::exchange::{BODY_READ_BYTES, Exchange, HEAD_TIMEOUT, Lateness, Reading};
use crate::clock::deadline_in;
use crate::server::http::errors::{self, ApiError};
use crate::server::registry::SentBytes;

/// How long a client may take nothing of a response.
const TAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a response whose client lets it wait keeps its slot in a lane. It costs the workers
/// little then, and with so short a time clients that never read pass by the hundred a second.
const SLOT_TIME: Duration = Duration::from_millis(25);

/// How long what a client still sends is thrown away after it was told goodbye. Without that, the
/// system would throw away the goodbye.
const PARTING_TIME: Duration = Duration::from_secs(1);

/// When a connection is looked at again that has no deadline now, as its request is being answered.
const LOOK_AGAIN: Duration = HEAD_TIMEOUT;

/// Bytes that the kernel holds for a client which is sent a large response. For all others the
/// listener's setting holds.
const LARGE_SEND_BUFFER_BYTES: usize = 256 << 10;

/// A socket that is closed when its client dawdles, or when its place is needed.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    sent: SentBytes,
    exchange: Exchange,
    read_alarm: Alarm,
    write_alarm: Alarm,
    /// The task that is woken when the connection has to go.
    task: Option<Waker>,
    /// When the client must have taken something, while it takes nothing.
    take_until: Option<Instant>,
    /// When the response loses its slot in a lane, once it has waited for the client.
    slot_until: Option<Instant>,
    /// Whether the client has left something untaken since all was flushed.
    is_stalled: bool,
    /// Whether something was sent since all was flushed.
    has_unflushed: bool,
    has_large_send_buffer: bool,
    /// Until when the rest of what the client sends is thrown away, after a goodbye.
    parting_until: Option<Instant>,
}

impl Connection {
    pub fn new(stream: TcpStream, sent: SentBytes, exchange: Exchange) -> Self {
        Self {
            stream,
            sent,
            exchange,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            task: None,
            take_until: None,
            slot_until: None,
            is_stalled: false,
            has_unflushed: false,
            has_large_send_buffer: false,
            parting_until: None,
        }
    }

    pub fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Fails if the place of the connection is needed, and sees to it that the task is woken then.
    fn check_place(&mut self, cx: &Context<'_>) -> io::Result<()> {
        // The task of a connection stays the same, so this is done once.
        if !self
            .task
            .as_ref()
            .is_some_and(|task| task.will_wake(cx.waker()))
        {
            self.task = Some(cx.waker().clone());
            self.exchange.place().wake_when_evicted(cx.waker());
        }
        if self.exchange.place().is_evicted() {
            return Err(self.abort(io::ErrorKind::ConnectionAborted));
        }
        Ok(())
    }

    /// Has the system forget what the client has not taken, and returns the error to fail with.
    fn abort(&self, kind: io::ErrorKind) -> io::Error {
        if self.is_stalled {
            // Otherwise the system would keep it, and try to send it, for minutes.
            let _ = self.stream.set_zero_linger();
        }
        kind.into()
    }

    /// Tells the client why it is refused, without the help of actix-http, and reads on for a
    /// moment so that it gets to know.
    fn part(&mut self, cx: &mut Context<'_>, reason: Reason, error: &ApiError) -> Poll<()> {
        self.exchange.place().count_closed(reason);
        if !self.has_unflushed {
            let goodbye = errors::goodbye(error);
            // Few bytes into an empty buffer: the system takes all, or the client is gone.
            if let Ok(bytes) = self.stream.try_write(&goodbye) {
                self.sent.add(bytes);
            }
        }
        self.parting_until = Some(deadline_in(PARTING_TIME));
        self.throw_away(cx)
    }

    /// Is ready when the client has closed, or has had enough time for that.
    fn throw_away(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.parting_until else {
            return Poll::Ready(());
        };
        let mut space = [const { MaybeUninit::uninit() }; BODY_READ_BYTES];
        loop {
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.read_alarm.poll(cx, until),
            }
        }
    }

    /// Reads at most `max_bytes`.
    fn read_some(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        max_bytes: usize,
    ) -> Poll<io::Result<()>> {
        // By way of the stack, since the buffer is larger than what it should get.
        let mut space = [const { MaybeUninit::uninit() }; BODY_READ_BYTES];
        let max_bytes = max_bytes.min(buffer.remaining()).min(space.len());
        let mut read = ReadBuf::uninit(&mut space[..max_bytes]);
        if Pin::new(&mut self.stream)
            .poll_read(cx, &mut read)?
            .is_pending()
        {
            return self.wait_for_client(cx);
        }
        let bytes = read.filled();
        buffer.put_slice(bytes);
        if !bytes.is_empty() && self.exchange.received(bytes.len(), max_bytes).is_err() {
            let reason = Reason::InputBudget;
            return self.part(cx, reason, &ApiError::InputBudget).map(Ok);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the client to send something, but not for ever.
    fn wait_for_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((until, lateness)) = self.exchange.deadline() else {
            self.read_alarm.keep_set(cx, LOOK_AGAIN);
            return Poll::Pending;
        };
        ready!(self.read_alarm.poll(cx, until));
        match lateness {
            // Like a client that has closed: actix-http takes its leave.
            Lateness::Idle => Poll::Ready(Ok(())),
            Lateness::Head => {
                let secs = HEAD_TIMEOUT.as_secs();
                let error = ApiError::HeadTooSlow { secs };
                self.part(cx, Reason::SlowHead, &error).map(Ok)
            }
        }
    }

    /// Makes of a write what it comes to in the light of the time it takes.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = write {
            self.sent.add(*result.as_ref().unwrap_or(&0));
            self.has_unflushed = true;
            self.take_until = None;
            return Poll::Ready(result);
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.exchange.stall();
        }
        let until = *self
            .take_until
            .get_or_insert_with(|| deadline_in(TAKE_TIMEOUT));
        if self.exchange.has_slot() {
            // From the first time on that it waits, lest a client that takes a little now and then
            // keeps others from their listings.
            let until = *self
                .slot_until
                .get_or_insert_with(|| deadline_in(SLOT_TIME));
            ready!(self.write_alarm.poll(cx, until));
            self.exchange.lose_slot();
        }
        let whole_until = self.exchange.response_until().unwrap_or(until);
        ready!(self.write_alarm.poll(cx, until.min(whole_until)));
        self.exchange.place().count_closed(Reason::SlowReader);
        Poll::Ready(Err(self.abort(io::ErrorKind::TimedOut)))
    }

    fn make_room_for_large_response(&mut self) {
        if self.exchange.is_large_response() && !self.has_large_send_buffer {
            self.has_large_send_buffer = true;
            // A smaller buffer only means more, smaller steps.
            let _ = set_socket_send_buffer_size(&self.stream, LARGE_SEND_BUFFER_BYTES);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_place(cx)?;
        if self.parting_until.is_some() {
            return self.throw_away(cx).map(Ok);
        }
        if self.is_stalled {
            // Whoever takes no response need not ask for another one. The write that waits wakes
            // the task, which then comes here too.
            self.read_alarm.keep_set(cx, LOOK_AGAIN);
            return Poll::Pending;
        }
        match self.exchange.reading() {
            Reading::AtMost(bytes) => self.read_some(cx, buffer, bytes),
            Reading::Pause => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Reading::Hold => {
                // Looks only, so that a client that sends nothing costs nothing.
                if self.stream.poll_read_ready(cx).is_ready() {
                    self.exchange.hold(cx.waker());
                }
                // When the answer is known, actix-http does not ask again before something is
                // there to be read. Somebody has to look whether it comes in time.
                self.read_alarm.keep_set(cx, LOOK_AGAIN);
                Poll::Pending
            }
            Reading::HeadTooLong => {
                let max_bytes = self.exchange.max_head_bytes();
                let error = ApiError::HeadTooLarge { max_bytes };
                self.part(cx, Reason::HeadTooLarge, &error).map(Ok)
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_place(cx)?;
        self.make_room_for_large_response();
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_place(cx)?;
        self.make_room_for_large_response();
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // actix-http flushes when it has handed over all that it has.
        if self.has_unflushed {
            let had_stalled = std::mem::take(&mut self.is_stalled);
            self.exchange.flushed(had_stalled);
            if !self.exchange.has_slot() {
                self.slot_until = None;
            }
            self.has_unflushed = false;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
