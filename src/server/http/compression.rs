//! Sends a large body compressed to those who ask for that.

use std::any::Any;
use std::io::Write;
use std::sync::Arc;

use actix_web::http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, Header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Api;
use super::response::{LongBody, Pieces};

/// Bodies below this size fit into one packet as they are.
const LEAST_BYTES: usize = 1024;

/// How many responses are compressed at a time; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Compressor(Arc<Semaphore>);

impl Compressor {
    /// One for two cores, so that compressing leaves the workers at least half of the machine.
    pub(super) fn new(cores: usize) -> Self {
        Self(Arc::new(Semaphore::new((cores / 2).max(1))))
    }

    /// The right to compress one body. `None` if enough others are being compressed: a body that
    /// waited for them would be held in memory meanwhile, for as long as a crowd likes.
    fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .ok()
            .map(|permit| Turn { _permit: permit })
    }
}

/// The right to compress one body.
struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// The compressed `plain`; `None` if that failed.
    async fn gzip(self, plain: Bytes) -> Option<Vec<u8>> {
        // Some milliseconds for a full page: too long to keep a worker's other connections waiting.
        // The permit goes along, since the thread goes on when the client has hung up.
        let compressed = web::block(move || {
            let _turn = self;
            gzip(&plain)
        });
        compressed.await.ok()?.ok()
    }
}

/// Finishes `response` with `body`, as gzip if `request` accepts that and the machine has the time.
/// What `permit` stands for is held until the client has taken it.
///
/// A client that accepts neither gzip nor plain text gets plain text, as RFC 9110, section 12.5.3,
/// allows: a listing it may be able to read serves it better than a 406.
pub(super) async fn send(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    mut body: impl LongBody + 'static,
    permit: impl Any,
) -> HttpResponse {
    let api = request.app_data::<web::Data<Api>>();
    if let Some(api) = api
        && body.total_bytes() >= LEAST_BYTES
        && accepts_gzip(request)
        && let Some(turn) = api.compressor.turn()
    {
        let mut plain = Vec::with_capacity(body.total_bytes());
        while body.write_some(&mut plain) {}
        let plain = Bytes::from(plain);
        return match turn.gzip(plain.clone()).await {
            Some(smaller) => {
                response.insert_header((CONTENT_ENCODING, "gzip"));
                response.body(Pieces::of(smaller.into(), permit))
            }
            None => response.body(Pieces::of(plain, permit)),
        };
    }
    response.body(Pieces::written(body, permit))
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let supported = [Encoding::gzip(), Encoding::identity()];
    AcceptEncoding::parse(request)
        .ok()
        .and_then(|accepted| accepted.negotiate(supported.iter()))
        .is_some_and(|chosen| chosen == Encoding::gzip())
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
