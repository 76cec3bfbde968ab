//! A socket that limits the time and the memory that its client can use.

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
use super::exchange::{Exchange, Reading, Timeout};
use super::limits::BODY_READ_BYTES;
use crate::clock::deadline_in;
use crate::server::http::errors::{self, ApiError};
use crate::server::http::refusals::{Example, Refusals};
use crate::server::registry::SentBytes;

/// How long a client may receive nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a response keeps its lane slot while its client does not receive. Such a response costs
/// the workers little, and with this short time each slot serves 40 clients per second that never
/// read.
const STALLED_SLOT_TIMEOUT: Duration = Duration::from_millis(25);

/// How long input is read and discarded after a refusal. If the socket closed with unread input, the
/// kernel would reset the connection, and the client could lose the refusal.
const INPUT_DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// When to check for a deadline again while there is none, because the server handles a request.
const RECHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The send buffer for a large response, in bytes. Until its first large response, a connection has
/// the send buffer of the listener.
const LARGE_SEND_BUFFER_BYTES: usize = 256 << 10;

/// A socket that closes when its client is too slow, or when a new connection needs its place.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    sent: SentBytes,
    refusals: Refusals,
    exchange: Exchange,
    read_alarm: Alarm,
    write_alarm: Alarm,
    /// Wakes the task of the connection when it is evicted.
    task: Option<Waker>,
    /// The deadline for the next successful write; `None` unless a write waits.
    write_deadline: Option<Instant>,
    /// When the response loses its lane slot; `None` until it has first waited for the client.
    slot_deadline: Option<Instant>,
    /// Whether a write has waited for the client since the last flush.
    is_stalled: bool,
    /// Whether something was written since the last flush.
    has_unflushed: bool,
    has_large_send_buffer: bool,
    /// Whether input that is not HTTP was refused.
    is_bad_input_refused: bool,
    /// Until when input is discarded, after a refusal.
    discard_deadline: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        sent: SentBytes,
        refusals: Refusals,
        exchange: Exchange,
    ) -> Self {
        Self {
            stream,
            sent,
            refusals,
            exchange,
            read_alarm: Alarm::default(),
            write_alarm: Alarm::default(),
            task: None,
            write_deadline: None,
            slot_deadline: None,
            is_stalled: false,
            has_unflushed: false,
            has_large_send_buffer: false,
            is_bad_input_refused: false,
            discard_deadline: None,
        }
    }

    pub(crate) fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// Fails if the connection was evicted. Otherwise registers the task to be woken by an eviction.
    fn check_evicted(&mut self, cx: &Context<'_>) -> io::Result<()> {
        // Registers only once, as the task of a connection stays the same.
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

    /// Discards what the client has not received, and returns the error to fail with.
    fn abort(&self, kind: io::ErrorKind) -> io::Error {
        if self.is_stalled {
            // Otherwise the kernel would keep the data, and try to send it, for minutes.
            let _ = self.stream.set_zero_linger();
        }
        kind.into()
    }

    /// Sends `error` to the client without actix-http, and discards further input for a short time.
    fn refuse(&mut self, cx: &mut Context<'_>, reason: Reason, error: &ApiError) -> Poll<()> {
        self.exchange.place().count_closed(reason);
        // After a part of another response, the refusal would look like the rest of it.
        if !self.has_unflushed {
            self.refusals.record(&error.refusal(), Example::default);
            let response = errors::raw_response(error);
            // The send buffer is empty, so the kernel accepts all of it unless the client is gone.
            if let Ok(bytes) = self.stream.try_write(&response) {
                self.sent.add(bytes);
            }
        }
        self.discard_deadline = Some(deadline_in(INPUT_DISCARD_TIMEOUT));
        self.discard_input(cx)
    }

    /// Reads and discards input. Returns ready when the client has closed or the time is over.
    fn discard_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.discard_deadline else {
            return Poll::Ready(());
        };
        let mut space = [const { MaybeUninit::uninit() }; BODY_READ_BYTES];
        loop {
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.read_alarm.poll(cx, deadline),
            }
        }
    }

    /// Reads at most `max_bytes` into `buffer`.
    fn read_some(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        max_bytes: usize,
    ) -> Poll<io::Result<()>> {
        // Reads into a smaller space on the stack first, since actix-http's buffer has room for more
        // than `max_bytes`.
        let mut space = [const { MaybeUninit::uninit() }; BODY_READ_BYTES];
        let max_bytes = max_bytes.min(buffer.remaining()).min(space.len());
        let mut read = ReadBuf::uninit(&mut space[..max_bytes]);
        if Pin::new(&mut self.stream)
            .poll_read(cx, &mut read)?
            .is_pending()
        {
            return self.poll_timeout(cx);
        }
        let bytes = read.filled();
        buffer.put_slice(bytes);
        if !bytes.is_empty() && self.exchange.received(bytes.len(), max_bytes).is_err() {
            let reason = Reason::InputBudget;
            return self.refuse(cx, reason, &ApiError::InputBudget).map(Ok);
        }
        Poll::Ready(Ok(()))
    }

    /// Returns pending until the client's deadline, then the result of the read.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((deadline, timeout)) = self.exchange.deadline() else {
            // The server handles a request. There may be a deadline once it has responded.
            self.read_alarm.keep_set(cx, RECHECK_INTERVAL);
            return Poll::Pending;
        };
        ready!(self.read_alarm.poll(cx, deadline));
        match timeout {
            // Reports the end of input, as if the client had closed, so that actix-http closes.
            Timeout::Idle => Poll::Ready(Ok(())),
            Timeout::Head => {
                let secs = self.exchange.head_timeout().as_secs();
                let error = ApiError::HeadTooSlow { secs };
                self.refuse(cx, Reason::SlowHead, &error).map(Ok)
            }
        }
    }

    /// Returns the result of `write`, or a timeout if it has been pending for too long.
    fn finish_write(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = write {
            self.sent.add(*result.as_ref().unwrap_or(&0));
            self.has_unflushed = true;
            // Any progress resets this deadline. The whole response has its own.
            self.write_deadline = None;
            return Poll::Ready(result);
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.exchange.stall();
        }
        let write_deadline = *self
            .write_deadline
            .get_or_insert_with(|| deadline_in(WRITE_TIMEOUT));
        if self.exchange.has_slot() {
            // Counts from the first wait, so that a client that reads a little from time to time
            // cannot keep the slot from other listings.
            let slot_deadline = *self
                .slot_deadline
                .get_or_insert_with(|| deadline_in(STALLED_SLOT_TIMEOUT));
            ready!(self.write_alarm.poll(cx, slot_deadline));
            self.exchange.release_slot();
        }
        let deadline = match self.exchange.response_deadline() {
            Some(response_deadline) => write_deadline.min(response_deadline),
            None => write_deadline,
        };
        ready!(self.write_alarm.poll(cx, deadline));
        self.exchange.place().count_closed(Reason::SlowReader);
        Poll::Ready(Err(self.abort(io::ErrorKind::TimedOut)))
    }

    /// Sends a response with a code instead of `bytes`, if these are how actix-http responds to a head
    /// that it could not parse. Returns whether it did. The gate does not see such a response, so no
    /// other one is under way; actix-http closes the connection after it.
    fn refuse_bad_input(&mut self, bytes: &[u8]) -> bool {
        const STATUS: &[u8] = b"400";
        let is_status = bytes
            .get("HTTP/1.1 ".len()..)
            .is_some_and(|rest| rest.starts_with(STATUS));
        let is_head = matches!(self.exchange.deadline(), Some((_, Timeout::Head)));
        let is_free = self.exchange.response_deadline().is_none() && !self.has_unflushed;
        let is_refused = self.is_bad_input_refused || self.discard_deadline.is_some();
        if !is_status || !is_head || !is_free || is_refused {
            return false;
        }
        self.is_bad_input_refused = true;
        self.exchange.place().count_closed(Reason::NotHttp);
        let error = ApiError::NotHttp;
        self.refusals.record(&error.refusal(), Example::default);
        // The send buffer is empty, so the kernel accepts all of it unless the client is gone.
        let sent = self.stream.try_write(&errors::raw_response(&error));
        self.sent.add(sent.unwrap_or(0));
        true
    }

    /// Enlarges the kernel's send buffer for a large response, so that fewer writes wait.
    fn enlarge_send_buffer(&mut self) {
        if self.exchange.is_large_response() && !self.has_large_send_buffer {
            self.has_large_send_buffer = true;
            // An error is harmless: with a smaller buffer the response takes more writes.
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
        self.check_evicted(cx)?;
        if self.discard_deadline.is_some() {
            return self.discard_input(cx).map(Ok);
        }
        if self.is_stalled {
            // A client that does not receive a response must not send another request. When the
            // pending write wakes the task, actix-http polls this again.
            self.read_alarm.keep_set(cx, RECHECK_INTERVAL);
            return Poll::Pending;
        }
        match self.exchange.reading() {
            Reading::AtMost(bytes) => self.read_some(cx, buffer, bytes),
            Reading::Pause => {
                // Pending makes actix-http decode what it has; the wake makes it read again after.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Reading::Wait => {
                // Only checks for input and reads none. Without any, no waker is needed: the socket
                // wakes the task when input arrives.
                if self.stream.poll_read_ready(cx).is_ready() {
                    self.exchange.set_read_waker(cx.waker());
                }
                // After the response, actix-http does not poll again until there is input. The
                // alarm makes sure that the deadline for the next request is checked.
                self.read_alarm.keep_set(cx, RECHECK_INTERVAL);
                Poll::Pending
            }
            Reading::HeadTooLong => {
                let max_bytes = self.exchange.max_head_bytes();
                let error = ApiError::HeadTooLarge { max_bytes };
                self.refuse(cx, Reason::HeadTooLarge, &error).map(Ok)
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
        self.check_evicted(cx)?;
        if self.refuse_bad_input(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.enlarge_send_buffer();
        let write = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.finish_write(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_evicted(cx)?;
        let first = slices.first().map_or(&[][..], |slice| slice);
        if self.refuse_bad_input(first) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.enlarge_send_buffer();
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.finish_write(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // actix-http flushes when it has written all that it has buffered.
        if self.has_unflushed {
            let had_stalled = std::mem::take(&mut self.is_stalled);
            self.exchange.flushed(had_stalled);
            // A slot that is still held belongs to an unfinished response, which must not get more
            // time because it was flushed.
            if !self.exchange.has_slot() {
                self.slot_deadline = None;
            }
            self.has_unflushed = false;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
