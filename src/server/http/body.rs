//! Reads request bodies: JSON by their type, small, in time, and not too many at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt;

use super::budget::Charge;
use super::connection::Exchange;
use super::context::Api;
use super::errors::ApiError;
use super::lane::Lane;
use crate::server::registry::RegistryError;

/// How long a body may take to arrive, in seconds. A registration is one packet or two.
const BODY_TIMEOUT_SECS: u64 = 5;

/// A body of this size needs no share of the budget, so that no heartbeat is refused for it.
const SMALL_BYTES: usize = 4096;

/// The bytes of a body that says it is JSON. They count as in the works until it is dropped.
pub(super) struct JsonBody(
    pub(super) Bytes,
    #[expect(dead_code, reason = "dropped when the handler is done")] Option<Charge>,
);

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>();
        let max_bytes = api.map_or(0, |api| api.http.max_body_bytes);
        let checked = check_headers(request, max_bytes);
        let reader = Reader {
            max_bytes,
            shared: api.map(|api| (api.bodies.charge(), api.large_bodies.clone())),
            exchange: request.conn_data::<Exchange>().cloned(),
        };
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            let limit = Duration::from_secs(BODY_TIMEOUT_SECS);
            match tokio::time::timeout(limit, reader.read(payload)).await {
                Ok(body) => body,
                Err(_) => Err(ApiError::TooSlow {
                    secs: BODY_TIMEOUT_SECS,
                }),
            }
        })
    }
}

fn check_headers(request: &HttpRequest, max_bytes: usize) -> Result<(), ApiError> {
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
    if length.is_some_and(|length| length > max_bytes as u64) {
        return Err(ApiError::TooLarge { max_bytes });
    }
    Ok(())
}

/// Reads one body.
struct Reader {
    max_bytes: usize,
    shared: Option<(Charge, Lane)>,
    exchange: Option<Exchange>,
}

impl Reader {
    async fn read(mut self, mut payload: dev::Payload) -> Result<JsonBody, ApiError> {
        let mut body = Bytes::new();
        while let Some(chunk) = self.next_chunk(&mut payload).await? {
            let bytes = body.len() + chunk.len();
            if bytes > self.max_bytes {
                return Err(ApiError::TooLarge {
                    max_bytes: self.max_bytes,
                });
            }
            if bytes > SMALL_BYTES
                && let Some((charge, _)) = &mut self.shared
            {
                charge
                    .raise_to(bytes)
                    .map_err(|_| RegistryError::Overloaded)?;
            }
            // Most bodies are one chunk, which is not copied.
            body = if body.is_empty() {
                chunk
            } else {
                let mut longer = BytesMut::from(body);
                longer.extend_from_slice(&chunk);
                longer.freeze()
            };
        }
        if let Some(exchange) = &self.exchange {
            exchange.end_body();
        }
        let mut share = None;
        if body.len() > SMALL_BYTES
            && let Some((charge, lane)) = self.shared
        {
            share = Some(charge);
            // Parsing it costs a worker up to a millisecond. The handler begins with that as soon
            // as this returns, and a spawned task runs when the handler waits for the first time.
            let slot = lane.enter().await?;
            actix_web::rt::spawn(async move { drop(slot) });
        }
        Ok(JsonBody(body, share))
    }

    async fn next_chunk(&self, payload: &mut dev::Payload) -> Result<Option<Bytes>, ApiError> {
        let chunk = poll_fn(|cx| {
            let polled = payload.poll_next_unpin(cx);
            // The socket reads no more of a body than is asked for.
            if let (Poll::Pending, Some(exchange)) = (&polled, &self.exchange) {
                exchange.ask_for_body();
            }
            polled
        });
        chunk.await.transpose().map_err(|_| ApiError::BrokenBody)
    }
}
