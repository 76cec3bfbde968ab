//! Proofs in the header `Authorization`, before anything else of a request is looked at.

use std::future::Future;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError, web};

use super::authentication::{AUTHENTICATION_INFO, random};
use super::context::Api;
use super::errors::ApiError;
use super::origin::is_admin_path;
use super::refusals::Refused;
use super::sender::ProvenPeer;
use crate::protocol::authentication::{Outcome, Proof};
use crate::protocol::{ErrorCode, paths};
use crate::server::registry::RegistryError;

/// What the authentication adds to a response.
#[derive(Default)]
struct Added {
    www_authenticate: Option<String>,
    authentication_info: Option<String>,
}

impl Added {
    fn add_to(self, headers: &mut HeaderMap) {
        let added = [
            (WWW_AUTHENTICATE, self.www_authenticate),
            (AUTHENTICATION_INFO, self.authentication_info),
        ];
        for (name, value) in added {
            // The scheme writes printable ASCII only, so this never fails.
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
}

/// Verifies the proof of a request, if it has one, and passes the request on. Refuses one whose proof
/// is wrong, and one without a proof if every write needs one.
pub(crate) fn authenticate<S, B>(
    api: &Api,
    request: ServiceRequest,
    app: &S,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let mut added = Added::default();
    let checked = check(api, &request, &mut added);
    let handling = match checked {
        Ok(()) => Ok(app.call(request)),
        Err(error) => Err((error, request)),
    };
    async move {
        let mut response = match handling {
            Ok(response) => response.await?.map_into_left_body(),
            Err((error, request)) => {
                let response = error.error_response();
                request.into_response(response).map_into_right_body()
            }
        };
        // Only the registry knows which ids are claimed, so its 401 gets the challenge here.
        if response.status() == StatusCode::UNAUTHORIZED && added.www_authenticate.is_none() {
            let refused = response.response().extensions();
            let code = refused.get::<Refused>().map(|refused| refused.code);
            drop(refused);
            if code == Some(ErrorCode::AuthenticationRequired) {
                added.www_authenticate = challenge(response.request());
            }
        }
        added.add_to(response.headers_mut());
        Ok(response)
    }
}

/// A challenge for a client that has proven nothing; `None` if it calls the registry by an unknown name.
fn challenge(request: &HttpRequest) -> Option<String> {
    let api = request.app_data::<web::Data<Api>>()?;
    let scheme = api.authentication.scheme();
    scheme.challenge(host_of(request.headers()), api.wall_time.now_ms(), random)
}

fn check(api: &Api, request: &ServiceRequest, added: &mut Added) -> Result<(), ApiError> {
    let authentication = &api.authentication;
    if !authentication.is_on() {
        return Ok(());
    }
    let headers = request.headers();
    let outcome = match header_of(headers) {
        None => Outcome::Absent,
        Some(value) => {
            let now_ms = api.wall_time.now_ms();
            let scheme = authentication.scheme();
            scheme.authenticate(Some(&value), host_of(headers), now_ms, random)
        }
    };
    match outcome {
        Outcome::Absent => {
            let must_prove = authentication.is_required() && needs_proof(request);
            match must_prove {
                true => Err(RegistryError::AuthenticationRequired.into()),
                false => Ok(()),
            }
        }
        Outcome::Proven { names, proof } => {
            let expires_at_ms = match proof {
                Proof::Bearer { expires_at_ms } => expires_at_ms,
                Proof::Handshake {
                    authentication_info,
                    expires_at_ms,
                    ..
                } => {
                    added.authentication_info = Some(authentication_info);
                    expires_at_ms
                }
            };
            request.extensions_mut().insert(ProvenPeer {
                names,
                expires_at_ms,
            });
            Ok(())
        }
        Outcome::Challenge { www_authenticate } => {
            added.www_authenticate = Some(www_authenticate);
            Err(ApiError::Handshake)
        }
        Outcome::Invalid {
            reason,
            www_authenticate,
        } => {
            added.www_authenticate = Some(www_authenticate);
            Err(ApiError::InvalidAuthentication(reason))
        }
        Outcome::UnknownHost => Err(ApiError::UnknownHost),
    }
}

/// Whether a request writes for a peer: every write does, except the operator's, which has a token.
fn needs_proof(request: &ServiceRequest) -> bool {
    let is_read = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    !is_read && request.path() != paths::AUTH && !is_admin_path(request.uri())
}

/// The header `Authorization`, several of them joined by commas. Bytes that are not ASCII become `?`,
/// which no scheme takes for its own.
fn header_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(AUTHORIZATION).peekable();
    values.peek()?;
    let text = |value: &HeaderValue| match value.to_str() {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(value.as_bytes()).replace('\u{fffd}', "?"),
    };
    Some(values.map(text).collect::<Vec<_>>().join(", "))
}

/// The name by which the client calls the registry, as it was sent.
fn host_of(headers: &HeaderMap) -> &str {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or_default()
}
