//! Sends a large body compressed to those who ask for that.

use std::any::Any;

use actix_web::http::header::{AcceptEncoding, CONTENT_ENCODING, Encoding, Header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::context::Api;
use super::response::{LongBody, Pieces};

/// Bodies below this size fit into one packet as they are.
const MIN_BYTES: usize = 1024;

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
        && body.total_bytes() >= MIN_BYTES
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
