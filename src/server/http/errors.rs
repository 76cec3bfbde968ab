//! The one table from errors to statuses and bodies.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::protocol::{ErrorBody, ErrorCode, RequestError};
use crate::server::registry::RegistryError;

/// Anything but a success.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry is starting: {loaded_rows} of {total_rows} peers are loaded")]
    Starting { loaded_rows: u64, total_rows: u64 },
    #[error("there is no such path here")]
    NoSuchPath,
    #[error("the method must be {allowed}")]
    WrongMethod { allowed: &'static str },
    #[error("Content-Type must be application/json")]
    NotJson,
    #[error("the body must be at most {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("the body must arrive within {secs} seconds")]
    TooSlow { secs: u64 },
    #[error("the body could not be read to its end")]
    BrokenBody,
    #[error("the head of a request must be at most {max_bytes} bytes")]
    HeadTooLarge { max_bytes: usize },
    #[error("the head of a request must arrive within {secs} seconds")]
    HeadTooSlow { secs: u64 },
    #[error("requests that have not arrived whole use all memory for such")]
    InputBudget,
    #[error(
        "the header Origin must be a page of this machine: a page of another site may not write \
         to a registry on localhost"
    )]
    ForeignOrigin,
    #[error("the operator's token is needed here")]
    NotTheOperator,
    #[error("too many wrong tokens were sent")]
    WrongTokens { retry_after_secs: u64 },
}

impl ApiError {
    /// The response itself, where a handler does nothing but refuse.
    pub(super) fn into_response(self) -> HttpResponse {
        self.error_response()
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Request(error) => error.code,
            Self::Registry(RegistryError::UnknownPeer) => ErrorCode::PeerNotFound,
            Self::Registry(RegistryError::UnknownSession) => ErrorCode::SessionNotFound,
            Self::Registry(RegistryError::RegistryFull) => ErrorCode::RegistryFull,
            Self::Registry(RegistryError::Overloaded) => ErrorCode::Overloaded,
            Self::Registry(
                RegistryError::StorageUnavailable | RegistryError::Stopped | RegistryError::Stuck,
            ) => ErrorCode::StorageUnavailable,
            Self::Starting { .. } => ErrorCode::Starting,
            Self::NoSuchPath => ErrorCode::NotFound,
            Self::WrongMethod { .. } => ErrorCode::MethodNotAllowed,
            Self::NotJson => ErrorCode::UnsupportedMediaType,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::TooSlow { .. } | Self::HeadTooSlow { .. } => ErrorCode::RequestTimeout,
            Self::HeadTooLarge { .. } => ErrorCode::HeadTooLarge,
            Self::InputBudget => ErrorCode::Overloaded,
            Self::ForeignOrigin => ErrorCode::ForeignOrigin,
            Self::BrokenBody => ErrorCode::InvalidJson,
            Self::NotTheOperator => ErrorCode::Unauthorized,
            Self::WrongTokens { .. } => ErrorCode::Throttled,
        }
    }

    fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.to_string(),
            code: self.code(),
            suggestion: row_of(self.code()).suggestion.map(str::to_owned),
            field: match self {
                Self::Request(error) => error.field.clone().map(Cow::into_owned),
                _ => None,
            },
        }
    }
}

/// What goes with a code in every response.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeRow {
    pub(super) status: StatusCode,
    /// The minimum of `Retry-After`, in seconds, unless the error itself says when.
    retry_after_secs: Option<u64>,
    /// What the client can do about it.
    pub(super) suggestion: Option<&'static str>,
}

impl CodeRow {
    /// Seconds to wait before trying again: a base and as much again at random, so that clients
    /// which were refused together do not come back together.
    pub(super) fn retry_after_secs(&self) -> Option<u64> {
        let base = self.retry_after_secs?;
        Some(base + rand::random_range(0..=base))
    }
}

/// The one table from codes to statuses, waits and suggestions.
pub(super) fn row_of(code: ErrorCode) -> CodeRow {
    const LATER: &str = "try again after the time in Retry-After";
    const DIRECT: &str = "use a direct connection, or try again later";
    let (status, retry_after_secs, suggestion) = match code {
        ErrorCode::InvalidJson | ErrorCode::MissingField | ErrorCode::InvalidField => {
            (StatusCode::BAD_REQUEST, None, "")
        }
        ErrorCode::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            None,
            "send the header Authorization: Bearer and the token",
        ),
        ErrorCode::PrivacyViolation => (
            StatusCode::FORBIDDEN,
            None,
            "list the crypto-IPv6 only; real addresses belong in realAddresses, if at all",
        ),
        ErrorCode::ForeignOrigin => (
            StatusCode::FORBIDDEN,
            None,
            "open the page from this machine, or reach the registry by its own name",
        ),
        ErrorCode::PeerNotFound => (
            StatusCode::NOT_FOUND,
            None,
            "register first with POST /register, then send heartbeats",
        ),
        ErrorCode::SessionNotFound => (
            StatusCode::NOT_FOUND,
            None,
            "allocate a session with POST /allocate-turn",
        ),
        ErrorCode::NotFound => (
            StatusCode::NOT_FOUND,
            None,
            "POST /register, /heartbeat, /register-turn-server, /allocate-turn, /release-turn or \
             /report-turn-usage, or GET /peers, /turn-servers, /stats, /cost-stats or /health",
        ),
        ErrorCode::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, None, ""),
        ErrorCode::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, None, ""),
        ErrorCode::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None, ""),
        ErrorCode::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            None,
            "send fewer or shorter headers",
        ),
        ErrorCode::UnsupportedMediaType => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            "send the header Content-Type: application/json",
        ),
        ErrorCode::Throttled => (StatusCode::TOO_MANY_REQUESTS, Some(5), LATER),
        ErrorCode::AttemptP2pFirst => (
            StatusCode::TOO_MANY_REQUESTS,
            None,
            "try a direct connection, then ask again with p2pAttempted: true",
        ),
        ErrorCode::SessionLimit => (
            StatusCode::TOO_MANY_REQUESTS,
            None,
            "renew or release a session that you hold",
        ),
        ErrorCode::BandwidthShare
        | ErrorCode::PremiumOnly
        | ErrorCode::PremiumSessionLimit
        | ErrorCode::RenewalsOnly => (StatusCode::TOO_MANY_REQUESTS, None, DIRECT),
        ErrorCode::NoTurnServer | ErrorCode::RelayShutdown => {
            (StatusCode::SERVICE_UNAVAILABLE, None, DIRECT)
        }
        ErrorCode::Overloaded | ErrorCode::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(1), LATER)
        }
        ErrorCode::StorageUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(5), LATER),
        ErrorCode::RegistryFull => (StatusCode::SERVICE_UNAVAILABLE, Some(60), LATER),
        ErrorCode::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None, ""),
    };
    CodeRow {
        status,
        retry_after_secs,
        suggestion: Some(suggestion).filter(|text| !text.is_empty()),
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        row_of(self.code()).status
    }

    fn error_response(&self) -> HttpResponse {
        let row = row_of(self.code());
        let mut response = HttpResponse::build(row.status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        let retry_after_secs = match self {
            Self::WrongTokens { retry_after_secs } => {
                Some(retry_after_secs + rand::random_range(0..=5))
            }
            _ => row.retry_after_secs(),
        };
        if let Some(secs) = retry_after_secs {
            response.insert_header((RETRY_AFTER, secs));
        }
        if matches!(
            self,
            Self::TooSlow { .. }
                | Self::TooLarge { .. }
                | Self::BrokenBody
                | Self::HeadTooLarge { .. }
                | Self::InputBudget
                | Self::Starting { .. }
        ) {
            // What is still to come of the body is not waited for.
            response.force_close();
        }
        if let Self::NotTheOperator = self {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::WrongMethod { allowed } = self {
            response.insert_header(("Allow", *allowed));
        }
        response.json(self.body())
    }
}

/// The whole response as bytes, for a client that is refused before its request is one.
pub(super) fn goodbye(error: &ApiError) -> Vec<u8> {
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    let row = row_of(error.code());
    let retry_after = match row.retry_after_secs() {
        Some(secs) => format!("retry-after: {secs}\r\n"),
        None => String::new(),
    };
    format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         {retry_after}\r\n{body}",
        row.status,
        body.len()
    )
    .into_bytes()
}
