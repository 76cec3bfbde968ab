//! Checks every request before the application gets it, and completes every response.

use std::future::Future;

use actix_http::{Request, Response};
use actix_service::Service;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::ConnectionType;
use actix_web::http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, HeaderValue,
    ORIGIN, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};

use super::slashes::without_extra_slashes;
use crate::server::http::connection::{BadHead, Exchange, HEAD_READ_BYTES, HeadSize};
use crate::server::http::errors::ApiError;
use crate::server::http::origin::{is_admin_path, is_foreign_write};
use crate::server::http::refusals::{Example, Refusals, Refused};
use crate::server::http::response::Tracked;

/// The body of any response: from the application, or from the gate if it refuses.
pub(crate) type GateBody<B> = Tracked<EitherBody<B>>;

/// Passes `request` to `app` if it is admitted, counts a refusal, and reports the progress to the
/// connection.
pub(crate) fn handle<S, B, E>(
    mut request: Request,
    app: &S,
    refusals: &Refusals,
) -> impl Future<Output = Result<Response<GateBody<B>>, E>> + use<S, B, E>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = E>,
    B: MessageBody + 'static,
    E: Into<Response<BoxBody>>,
{
    let exchange = request.conn_data::<Exchange>().cloned();
    let has_long_body = has_long_body(&request);
    let admitted = match &exchange {
        Some(exchange) => admit(&request, exchange),
        None => Ok(()),
    };
    // Before any check of the path: `//admin/mode` is an admin path too.
    if let Some(uri) = without_extra_slashes(request.uri()) {
        request.head_mut().uri = uri;
    }
    let is_admin_path = is_admin_path(request.uri());
    if is_admin_path {
        // Without these headers, the CORS middleware does not respond to a preflight. `admit` has
        // read them already.
        let headers = request.headers_mut();
        headers.remove(ORIGIN);
        headers.remove(ACCESS_CONTROL_REQUEST_METHOD);
    }
    // Called here and not in the block below, since the future must not borrow `app`.
    let handling = match admitted {
        Ok(()) => Ok(app.call(request)),
        Err(error) => {
            let (method, path) = (request.method().as_str(), request.path());
            refusals.record(&error.refusal(), || Example::new(method, path));
            Err(error)
        }
    };
    let refusals = refusals.clone();
    async move {
        // Errors of the application and refusals of the gate have the same type of body.
        let refused =
            |response: Response<BoxBody>| response.map_body(|_, body| EitherBody::right(body));
        let mut response = match handling {
            Ok(response) => match response.await {
                Ok(response) => {
                    if let Some(refusal) = response.response().extensions().get::<Refused>() {
                        refusals.record(refusal, || Example::of(response.request()));
                    }
                    Response::from(response).map_body(|_, body| EitherBody::left(body))
                }
                Err(error) => {
                    let response: Response<BoxBody> = error.into();
                    if let Some(refusal) = response.extensions().get::<Refused>() {
                        refusals.record(refusal, Example::default);
                    }
                    refused(response)
                }
            },
            Err(error) => refused(error.into_response().into()),
        };
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_admin_path {
            response.headers_mut().remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        }
        if let Some(exchange) = &exchange {
            begin_response(exchange, &mut response, has_long_body);
        }
        Ok(response.map_body(|_, body| Tracked::new(body, exchange)))
    }
}

fn begin_response<B: MessageBody>(
    exchange: &Exchange,
    response: &mut Response<B>,
    has_long_body: bool,
) {
    // Reading the rest of a long body could take any time, so the connection is not reused.
    let has_unread_body = has_long_body && !exchange.has_read_body();
    let bytes = match response.body().size() {
        BodySize::None => Some(0),
        BodySize::Sized(bytes) => Some(bytes),
        BodySize::Stream => None,
    };
    let can_be_reused = exchange.begin_response(bytes, has_unread_body);
    if has_unread_body || !can_be_reused {
        response
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
}

fn admit(request: &Request, exchange: &Exchange) -> Result<(), ApiError> {
    exchange
        .begin_request(size_of(request))
        .map_err(|bad| match bad {
            BadHead::TooLong { max_bytes } => ApiError::HeadTooLarge { max_bytes },
            BadHead::OverBudget(_) => ApiError::InputBudget,
        })?;
    if is_foreign_write(request.method(), request.headers()) {
        return Err(ApiError::ForeignOrigin);
    }
    Ok(())
}

fn size_of(request: &Request) -> HeadSize {
    /// The bytes of a header line other than its name and value.
    const LINE_BYTES: usize = ": \r\n".len();
    let mut size = HeadSize {
        bytes: request.uri().path().len() + request.uri().query().map_or(0, str::len),
        headers: 0,
    };
    for (name, value) in request.headers() {
        size.bytes += name.as_str().len() + value.len() + LINE_BYTES;
        size.headers += 1;
    }
    size
}

/// Whether the request has a body that did not arrive with the head.
fn has_long_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    length.is_some_and(|length| length > HEAD_READ_BYTES as u64)
        || headers.contains_key(TRANSFER_ENCODING)
}
