//! What is done with every request before the application sees it, and with every response.

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

use crate::server::http::connection::{BadHead, Exchange, HEAD_READ_BYTES, HeadSize};
use crate::server::http::errors::ApiError;
use crate::server::http::origin::{is_admin_path, is_foreign_write};
use crate::server::http::response::Tracked;

/// The body of any response: the application's, or that of a refusal at the gate.
pub(super) type GateBody<B> = Tracked<EitherBody<B>>;

/// Lets `app` answer `request`, if it may, and tells the connection when.
pub(super) fn pass<S, B, E>(
    mut request: Request,
    app: &S,
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
    let is_admin_path = is_admin_path(request.uri());
    if is_admin_path {
        // Without these no preflight is answered.
        let headers = request.headers_mut();
        headers.remove(ORIGIN);
        headers.remove(ACCESS_CONTROL_REQUEST_METHOD);
    }
    let answer = match admitted {
        Ok(()) => Ok(app.call(request)),
        Err(error) => Err(error),
    };
    async move {
        let refused =
            |response: Response<BoxBody>| response.map_body(|_, body| EitherBody::right(body));
        let mut response = match answer {
            Ok(answer) => match answer.await {
                Ok(response) => Response::from(response).map_body(|_, body| EitherBody::left(body)),
                Err(error) => refused(error.into()),
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
            let has_unread_body = has_long_body && !exchange.has_read_body();
            let bytes = match response.body().size() {
                BodySize::None => Some(0),
                BodySize::Sized(bytes) => Some(bytes),
                BodySize::Stream => None,
            };
            let may_be_kept = exchange.end_answer(bytes, has_unread_body);
            if has_unread_body || !may_be_kept {
                response
                    .head_mut()
                    .set_connection_type(ConnectionType::Close);
            }
        }
        Ok(response.map_body(|_, body| Tracked::new(body, exchange)))
    }
}

fn admit(request: &Request, exchange: &Exchange) -> Result<(), ApiError> {
    exchange
        .begin_answer(size_of(request))
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
    /// What a line of a head holds beside a name and a value.
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

/// Whether a body follows that has not arrived with the head.
fn has_long_body(request: &Request) -> bool {
    let headers = request.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    length.is_some_and(|length| length > HEAD_READ_BYTES as u64)
        || headers.contains_key(TRANSFER_ENCODING)
}
