//! Sends a large body compressed to those who ask for that.

use std::io::Write;

use actix_web::http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, Header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bodies below this size fit into one packet as they are.
const LEAST_BYTES: usize = 1024;

/// Finishes `response` with `body`, as gzip if `request` accepts that.
///
/// A client that accepts neither gzip nor plain text gets plain text, as RFC 9110, section 12.5.3,
/// allows: a listing it may be able to read serves it better than a 406.
pub(super) async fn send(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    body: Vec<u8>,
) -> HttpResponse {
    if body.len() < LEAST_BYTES || !accepts_gzip(request) {
        return response.body(body);
    }
    // Some milliseconds for a full page: too long to keep a worker's other connections waiting.
    let body = Bytes::from(body);
    let plain = body.clone();
    match web::block(move || gzip(&plain)).await {
        Ok(Ok(smaller)) => response
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(smaller),
        _ => response.body(body),
    }
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
