//! Compresses large bodies for clients that accept gzip.

use std::any::Any;

use actix_web::http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, Header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::context::Api;
use super::response::{LongBody, Pieces};

/// Smaller bodies fit into one packet uncompressed.
const MIN_BYTES: usize = 1024;

/// Finishes `response` with `body`, as gzip if `request` accepts it, a compressor is free, and there
/// is memory for one more whole body.
/// `permit` is held until the response body is dropped.
///
/// A client that accepts neither gzip nor identity gets identity, as RFC 9110 §12.5.3 allows: a
/// listing that the client may be able to read is more useful than a 406.
pub(crate) async fn send(
    api: &Api,
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    mut body: impl LongBody + 'static,
    permit: impl Any,
) -> HttpResponse {
    let mut charge = api.whole_bodies.charge();
    if body.total_bytes() >= MIN_BYTES
        && accepts_gzip(request)
        && let Some(compression) = api.compressor.try_acquire()
        && charge.raise_to(body.total_bytes()).is_ok()
    {
        // `Content-Length` must be known before the first piece, so the whole body is compressed.
        let mut plain = Vec::with_capacity(body.total_bytes());
        while body.write_next(&mut plain) {}
        let plain = Bytes::from(plain);
        return match compression.gzip(plain.clone()).await {
            Some(smaller) => {
                response.insert_header((CONTENT_ENCODING, "gzip"));
                charge.lower_to(smaller.len());
                response.body(Pieces::from_bytes(smaller.into(), (permit, charge)))
            }
            None => response.body(Pieces::from_bytes(plain, (permit, charge))),
        };
    }
    response.body(Pieces::from_long_body(body, &api.long_pieces, permit))
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let supported = [Encoding::gzip(), Encoding::identity()];
    AcceptEncoding::parse(request)
        .ok()
        .and_then(|accepted| accepted.negotiate(supported.iter()))
        .is_some_and(|chosen| chosen == Encoding::gzip())
}
