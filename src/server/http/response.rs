//! Response bodies: long ones are sent in pieces, and the end of each is reported to its connection.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use super::budget::{ByteBudget, OverBudget};
use super::connection::Exchange;

/// The length of a short piece, in bytes. actix-http polls the next piece once the socket has
/// accepted this one, so a client that never reads costs one piece of memory.
const SHORT_PIECE_BYTES: usize = 32 << 10;

/// The max length of a long piece, in bytes. With one piece instead of eight, a page of 1,000 peers
/// takes a third less time: fewer system calls, and the client wakes less often.
const LONG_PIECE_BYTES: usize = 256 << 10;

/// A long body that is produced piece by piece while its client receives it.
///
/// It owns the permit for sending it, for example a lane slot, until it is dropped itself.
pub(crate) struct Pieces {
    total_bytes: u64,
    /// Bytes that actix-http has not received yet.
    left_bytes: u64,
    ready: Bytes,
    rest: Option<Rest>,
    /// The length of a piece that is produced; a step of the body may exceed it by a few KiB.
    piece_bytes: usize,
    _permit: Box<dyn Any>,
}

/// A body that is produced in steps.
pub(crate) trait LongBody {
    /// The length of the whole body, in bytes.
    fn total_bytes(&self) -> usize;

    /// Appends the next few KiB to `out`. Returns whether more follows.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// The part of a body that is not produced yet.
type Rest = Box<dyn LongBody>;

/// A body does not have the length that its `Content-Length` announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body is not as long as was announced")]
pub(crate) struct WrongLength;

impl Pieces {
    /// A body that is produced while its client receives it: in long pieces as long as
    /// `long_pieces` has memory for one, and otherwise in short ones.
    pub(crate) fn from_long_body(
        body: impl LongBody + 'static,
        long_pieces: &ByteBudget,
        permit: impl Any,
    ) -> Self {
        let mut charge = long_pieces.charge();
        let long_piece_bytes = body.total_bytes().min(LONG_PIECE_BYTES);
        let piece_bytes = match charge.raise_to(long_piece_bytes) {
            Ok(()) => long_piece_bytes,
            Err(OverBudget) => SHORT_PIECE_BYTES,
        };
        Self {
            total_bytes: body.total_bytes() as u64,
            left_bytes: body.total_bytes() as u64,
            ready: Bytes::new(),
            rest: Some(Box::new(body)),
            piece_bytes,
            _permit: Box::new((permit, charge)),
        }
    }

    /// A body that is complete already.
    pub(crate) fn from_bytes(body: Bytes, permit: impl Any) -> Self {
        Self {
            total_bytes: body.len() as u64,
            left_bytes: body.len() as u64,
            ready: body,
            rest: None,
            piece_bytes: SHORT_PIECE_BYTES,
            _permit: Box::new(permit),
        }
    }

    fn max_piece_bytes(&self) -> usize {
        self.piece_bytes + self.piece_bytes / 8
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, WrongLength> {
        let max_bytes = self.max_piece_bytes();
        if self.ready.is_empty()
            && let Some(rest) = &mut self.rest
        {
            let left_bytes = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
            // A step may exceed the piece by a few KiB; reserving an eighth more avoids a second
            // allocation.
            let mut piece = Vec::with_capacity(left_bytes.min(max_bytes));
            let mut has_more = true;
            while has_more && piece.len() < self.piece_bytes {
                has_more = rest.write_next(&mut piece);
            }
            if !has_more {
                self.rest = None;
            }
            self.ready = piece.into();
        }
        if self.ready.is_empty() {
            // Fails on a body that is too short: otherwise the client would wait for the rest.
            return if self.left_bytes == 0 {
                Ok(None)
            } else {
                Err(WrongLength)
            };
        }
        // A complete body, or a long step, is split so that the buffer of actix-http stays small.
        let bytes = self.ready.len().min(max_bytes);
        let piece = self.ready.split_to(bytes);
        // More bytes than announced would look like the start of the next response.
        self.left_bytes = self
            .left_bytes
            .checked_sub(bytes as u64)
            .ok_or(WrongLength)?;
        Ok(Some(piece))
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("total_bytes", &self.total_bytes)
            .field("left_bytes", &self.left_bytes)
            .finish_non_exhaustive()
    }
}

impl MessageBody for Pieces {
    type Error = WrongLength;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.total_bytes)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, WrongLength>>> {
        Poll::Ready(self.next_piece().transpose())
    }
}

/// The body of any response; notifies the connection when it is dropped.
#[derive(Debug)]
pub(crate) struct Tracked<B> {
    body: B,
    exchange: Option<Exchange>,
}

impl<B> Tracked<B> {
    pub(crate) fn new(body: B, exchange: Option<Exchange>) -> Self {
        Self { body, exchange }
    }
}

impl<B> Drop for Tracked<B> {
    fn drop(&mut self) {
        if let Some(exchange) = &self.exchange {
            exchange.end_response();
        }
    }
}

impl<B: MessageBody + Unpin> MessageBody for Tracked<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// A body of this length that a closure writes.
    struct Written<F>(usize, F);

    impl<F: FnMut(&mut Vec<u8>) -> bool> LongBody for Written<F> {
        fn total_bytes(&self) -> usize {
            self.0
        }

        fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
            self.1(out)
        }
    }

    /// A budget without memory for a long piece.
    fn none_left() -> ByteBudget {
        ByteBudget::new(0)
    }

    fn drain(pieces: &mut Pieces) -> Result<Vec<Bytes>, WrongLength> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.next_piece()? {
            all.push(piece);
        }
        Ok(all)
    }

    #[test]
    fn a_long_body_is_produced_while_its_pieces_are_polled() {
        let calls = Rc::new(std::cell::Cell::new(0));
        let counted = Rc::clone(&calls);
        let rest = move |out: &mut Vec<u8>| {
            counted.set(counted.get() + 1);
            out.extend_from_slice(&[b'x'; 1000]);
            counted.get() < 200
        };
        let permit = Rc::new(());
        let watch = Rc::downgrade(&permit);
        let mut pieces = Pieces::from_long_body(Written(200_000, rest), &none_left(), permit);
        assert_eq!(calls.get(), 0);
        let first = pieces.next_piece().unwrap().unwrap();
        assert!(first.len() < SHORT_PIECE_BYTES + 1000);
        assert_eq!(calls.get() * 1000, first.len());
        let others: usize = drain(&mut pieces).unwrap().iter().map(Bytes::len).sum();
        assert_eq!(first.len() + others, 200_000);
        assert_eq!(watch.strong_count(), 1);
        drop(pieces);
        assert_eq!(watch.strong_count(), 0);
    }

    #[test]
    fn a_long_step_is_split_into_pieces() {
        let rest = |out: &mut Vec<u8>| {
            out.resize(1 << 20, b'x');
            false
        };
        let mut pieces = Pieces::from_long_body(Written(1 << 20, rest), &none_left(), ());
        let all = drain(&mut pieces).unwrap();
        assert!(all.iter().all(|piece| piece.len() < 2 * SHORT_PIECE_BYTES));
        assert_eq!(all.iter().map(Bytes::len).sum::<usize>(), 1 << 20);
    }

    #[test]
    fn a_body_that_is_not_as_long_as_announced_is_an_error() {
        let once = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"four");
            false
        };
        assert_eq!(
            drain(&mut Pieces::from_long_body(
                Written(5, once),
                &none_left(),
                ()
            )),
            Err(WrongLength)
        );
        assert_eq!(
            drain(&mut Pieces::from_long_body(
                Written(3, once),
                &none_left(),
                ()
            )),
            Err(WrongLength)
        );
        assert!(
            drain(&mut Pieces::from_long_body(
                Written(4, once),
                &none_left(),
                ()
            ))
            .is_ok()
        );
    }
    #[test]
    fn pieces_are_long_only_while_the_budget_has_memory_for_them() {
        let whole = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[b'x'; 1024]);
            out.len() < 200 << 10
        };
        let budget = ByteBudget::new(300 << 10);
        let long_body = || Pieces::from_long_body(Written(200 << 10, whole), &budget, ());
        let mut first = long_body();
        let mut second = long_body();
        assert_eq!(first.next_piece().unwrap().unwrap().len(), 200 << 10);
        assert_eq!(
            second.next_piece().unwrap().unwrap().len(),
            SHORT_PIECE_BYTES
        );
        drop(first);
        let mut third = long_body();
        assert_eq!(third.next_piece().unwrap().unwrap().len(), 200 << 10);
    }
}
