//! Bodies of responses: long ones in pieces, and the end of each one noted.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

use super::connection::Exchange;

/// Bytes of a piece. actix-http asks for a piece, and for the next one when the socket has taken
/// it, so this is what a client that never reads costs.
pub(super) const PIECE_BYTES: usize = 32 << 10;

/// A long body that is written piece by piece, as its client takes it.
///
/// Whatever was needed to be allowed to send it, a permit for example, travels with it, and is
/// dropped when the last piece was handed over.
pub(super) struct Pieces {
    total_bytes: u64,
    /// Bytes that were not handed over yet.
    left_bytes: u64,
    ready: Bytes,
    rest: Option<Rest>,
    _permit: Box<dyn Any>,
}

/// A body that is written bit by bit.
pub(super) trait LongBody {
    /// How long it is as a whole, in bytes.
    fn total_bytes(&self) -> usize;

    /// Appends some more of it to `out`, a few KiB at most. Returns whether there is yet more.
    fn write_some(&mut self, out: &mut Vec<u8>) -> bool;
}

/// The rest of a body.
type Rest = Box<dyn LongBody>;

/// A body has another length than was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a body is not as long as was announced")]
pub(super) struct WrongLength;

impl Pieces {
    /// A body that is written as its client takes it.
    pub(super) fn written(body: impl LongBody + 'static, permit: impl Any) -> Self {
        Self {
            total_bytes: body.total_bytes() as u64,
            left_bytes: body.total_bytes() as u64,
            ready: Bytes::new(),
            rest: Some(Box::new(body)),
            _permit: Box::new(permit),
        }
    }

    /// A body that is there already.
    pub(super) fn of(body: Bytes, permit: impl Any) -> Self {
        let total_bytes = body.len();
        Self::whole(body, total_bytes, permit)
    }

    fn whole(ready: Bytes, total_bytes: usize, permit: impl Any) -> Self {
        Self {
            total_bytes: total_bytes as u64,
            left_bytes: total_bytes as u64,
            ready,
            rest: None,
            _permit: Box::new(permit),
        }
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, WrongLength> {
        if self.ready.is_empty()
            && let Some(rest) = &mut self.rest
        {
            let left_bytes = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
            let mut piece = Vec::with_capacity(left_bytes.min(PIECE_BYTES + PIECE_BYTES / 8));
            let mut has_more = true;
            while has_more && piece.len() < PIECE_BYTES {
                has_more = rest.write_some(&mut piece);
            }
            if !has_more {
                self.rest = None;
            }
            self.ready = piece.into();
        }
        if self.ready.is_empty() {
            // A body that is too short would leave the client waiting for the rest.
            return if self.left_bytes == 0 {
                Ok(None)
            } else {
                Err(WrongLength)
            };
        }
        let bytes = self.ready.len().min(PIECE_BYTES + PIECE_BYTES / 8);
        let piece = self.ready.split_to(bytes);
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

/// The body of any response; tells the connection when no more of it is to come.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    body: B,
    exchange: Option<Exchange>,
}

impl<B> Tracked<B> {
    pub(super) fn new(body: B, exchange: Option<Exchange>) -> Self {
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

        fn write_some(&mut self, out: &mut Vec<u8>) -> bool {
            self.1(out)
        }
    }

    fn drain(pieces: &mut Pieces) -> Result<Vec<Bytes>, WrongLength> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.next_piece()? {
            all.push(piece);
        }
        Ok(all)
    }

    #[test]
    fn a_long_body_is_rendered_as_it_is_taken() {
        let calls = Rc::new(std::cell::Cell::new(0));
        let counted = Rc::clone(&calls);
        let rest = move |out: &mut Vec<u8>| {
            counted.set(counted.get() + 1);
            out.extend_from_slice(&[b'x'; 1000]);
            counted.get() < 200
        };
        let permit = Rc::new(());
        let watch = Rc::downgrade(&permit);
        let mut pieces = Pieces::written(Written(200_000, rest), permit);
        assert_eq!(calls.get(), 0);
        let first = pieces.next_piece().unwrap().unwrap();
        assert!(first.len() < PIECE_BYTES + 1000);
        assert_eq!(calls.get() * 1000, first.len());
        let others: usize = drain(&mut pieces).unwrap().iter().map(Bytes::len).sum();
        assert_eq!(first.len() + others, 200_000);
        assert_eq!(watch.strong_count(), 1);
        drop(pieces);
        assert_eq!(watch.strong_count(), 0);
    }

    #[test]
    fn a_huge_step_is_cut_into_pieces() {
        let rest = |out: &mut Vec<u8>| {
            out.resize(1 << 20, b'x');
            false
        };
        let mut pieces = Pieces::written(Written(1 << 20, rest), ());
        let all = drain(&mut pieces).unwrap();
        assert!(all.iter().all(|piece| piece.len() < 2 * PIECE_BYTES));
        assert_eq!(all.iter().map(Bytes::len).sum::<usize>(), 1 << 20);
    }

    #[test]
    fn a_body_that_is_not_as_long_as_announced_is_an_error() {
        let once = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"four");
            false
        };
        assert_eq!(
            drain(&mut Pieces::written(Written(5, once), ())),
            Err(WrongLength)
        );
        assert_eq!(
            drain(&mut Pieces::written(Written(3, once), ())),
            Err(WrongLength)
        );
        assert!(drain(&mut Pieces::written(Written(4, once), ())).is_ok());
    }
}
