//! Successful responses that caches must not store.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

/// A JSON response with status 200 that caches must not store: it is outdated at once, or it is
/// secret.
pub(crate) struct NoStore<T>(pub(crate) T);

impl<T: Serialize> Responder for NoStore<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(self.0)
    }
}
