//! Successful responses that no cache may keep.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

/// A JSON response with status 200 that no cache may keep: it is out of date at once, or says what
/// only its receiver may know.
pub(super) struct NoStore<T>(pub(super) T);

impl<T: Serialize> Responder for NoStore<T> {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(self.0)
    }
}
