//! Takes in request bodies: JSON by their type, small, and in time.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt;

use super::Api;
use super::errors::ApiError;

/// How long a body may take to arrive, in seconds. A registration is one packet or two.
const BODY_TIMEOUT_SECS: u64 = 5;

/// The bytes of a body that says it is JSON.
pub(super) struct JsonBody(pub(super) Bytes);

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let most_bytes = request
            .app_data::<web::Data<Api>>()
            .map_or(0, |api| api.http.max_body_bytes);
        let checked = check_headers(request, most_bytes);
        let mut payload = payload.take();
        Box::pin(async move {
            checked?;
            let limit = Duration::from_secs(BODY_TIMEOUT_SECS);
            let read = read(&mut payload, most_bytes);
            match tokio::time::timeout(limit, read).await {
                Ok(body) => body.map(JsonBody),
                Err(_) => Err(ApiError::TooSlow {
                    secs: BODY_TIMEOUT_SECS,
                }),
            }
        })
    }
}

fn check_headers(request: &HttpRequest, most_bytes: usize) -> Result<(), ApiError> {
    let headers = request.headers();
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        });
    if !is_json {
        return Err(ApiError::NotJson);
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most_bytes as u64) {
        return Err(ApiError::TooLarge { most_bytes });
    }
    Ok(())
}

async fn read(payload: &mut dev::Payload, most_bytes: usize) -> Result<Bytes, ApiError> {
    let mut chunks = payload.map(|chunk| chunk.map_err(|_| ApiError::BrokenBody));
    let Some(first) = chunks.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    let mut body = first;
    while let Some(chunk) = chunks.next().await.transpose()? {
        if body.len() + chunk.len() > most_bytes {
            return Err(ApiError::TooLarge { most_bytes });
        }
        let mut longer = BytesMut::from(body);
        longer.extend_from_slice(&chunk);
        body = longer.freeze();
    }
    if body.len() > most_bytes {
        return Err(ApiError::TooLarge { most_bytes });
    }
    Ok(body)
}
