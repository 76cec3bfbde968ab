//! Reads request bodies. Type, size before and after decompression, arrival time and total memory
//! are limited.

use std::borrow::Cow;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, dev, web};
use futures_util::StreamExt;
use serde::Deserialize;

use super::address_block::AddressBlock;
use super::budget::{Charge, SMALL_BYTES};
use super::connection::Exchange;
use super::context::Api;
use super::errors::ApiError;
use super::inflate::gunzip;
use super::media_type::{self, Coding};
use super::refusals::about;
use crate::protocol::RequestBody;
use crate::server::registry::RegistryError;

/// The parsed body of a request.
pub(crate) struct Body<T> {
    pub(crate) request: T,
    #[expect(
        dead_code,
        reason = "holds the memory budget until the handler returns"
    )]
    charge: Charge,
}

impl<T: RequestBody + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
            // Cannot happen: every application has this data.
            return Box::pin(ready(Err(RegistryError::Stopped.into())));
        };
        let checked = check_headers(request, api.http.max_body_bytes);
        let reader = Reader {
            max_bytes: api.http.max_body_bytes,
            charge: api.bodies.charge(),
            exchange: request.conn_data::<Exchange>().cloned(),
        };
        let block = AddressBlock::of_client(request);
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let coding = checked?;
            let secs = api.http.body_timeout_secs;
            let limit = Duration::from_secs(secs);
            let read = tokio::time::timeout(limit, reader.read(payload)).await;
            let (mut bytes, mut charge) = read.unwrap_or(Err(ApiError::TooSlow { secs }))?;
            // Parsing or decompressing a large body blocks the worker for up to 1 ms, so few are
            // handled at once.
            let is_large = bytes.len() > SMALL_BYTES || coding == Coding::Gzip;
            let _slot = match is_large {
                true => Some(api.large_bodies.enter(block).await?),
                false => None,
            };
            if coding == Coding::Gzip {
                bytes = gunzip(&bytes, api.http.max_body_bytes, &mut charge)?;
            }
            let request = T::parse(&bytes, &api.limits).map_err(|error| {
                match api
                    .refusals
                    .is_line_due(error.code)
                    .then(|| peer_in(&bytes))
                {
                    Some(Some(peer)) => about(&request, peer, error),
                    _ => error,
                }
            })?;
            Ok(Self { request, charge })
        })
    }
}

/// The peer that a refused body names, well-formed or not.
fn peer_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'b> {
        #[serde(borrow)]
        peer_id: Cow<'b, str>,
    }
    let named = serde_json::from_slice::<Named<'_>>(body).ok()?;
    Some(named.peer_id.into_owned())
}

fn check_headers(request: &HttpRequest, max_bytes: usize) -> Result<Coding, ApiError> {
    let coding = media_type::check(request)?;
    let length = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max_bytes as u64) {
        return Err(ApiError::TooLarge { max_bytes });
    }
    Ok(coding)
}

/// Reads one body.
struct Reader {
    max_bytes: usize,
    charge: Charge,
    exchange: Option<Exchange>,
}

impl Reader {
    async fn read(mut self, mut payload: dev::Payload) -> Result<(Bytes, Charge), ApiError> {
        let mut body = Bytes::new();
        while let Some(chunk) = self.next_chunk(&mut payload).await? {
            let bytes = body.len() + chunk.len();
            if bytes > self.max_bytes {
                return Err(ApiError::TooLarge {
                    max_bytes: self.max_bytes,
                });
            }
            if bytes > SMALL_BYTES {
                self.charge
                    .raise_to(bytes)
                    .map_err(|_| RegistryError::Overloaded)?;
            }
            // Most bodies are a single chunk, which needs no copy.
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
        Ok((body, self.charge))
    }

    async fn next_chunk(&self, payload: &mut dev::Payload) -> Result<Option<Bytes>, ApiError> {
        let chunk = poll_fn(|cx| {
            let polled = payload.poll_next_unpin(cx);
            // The socket reads only as much of a body as its reader asked for.
            if let (Poll::Pending, Some(exchange)) = (&polled, &self.exchange) {
                exchange.ask_for_body();
            }
            polled
        });
        chunk.await.transpose().map_err(|_| ApiError::BrokenBody)
    }
}
