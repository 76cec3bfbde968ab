//! The one table from errors to statuses and bodies.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::protocol::{CostMode, ErrorBody, ErrorCode, RequestError};
use crate::server::policy::allocation::Refusal;
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
    #[error("{}", in_words(*.refusal, *.mode))]
    Refused { refusal: Refusal, mode: CostMode },
}

/// Which limit stands in the way of an allocation.
fn in_words(refusal: Refusal, mode: CostMode) -> String {
    match refusal {
        Refusal::AttemptP2pFirst => format!(
            "p2pAttempted must be true: in mode {mode} a direct connection must be tried first"
        ),
        Refusal::PremiumOnly => format!("only premium peers are relayed in mode {mode}"),
        Refusal::RenewalsOnly => {
            format!("only live premium sessions are renewed in mode {mode}")
        }
        Refusal::SessionLimit { allowed } => {
            format!("the peer holds {allowed} TURN sessions, the most that its tier allows")
        }
        Refusal::PremiumSessionLimit { allowed } => {
            format!("{allowed} premium sessions are live, the most in mode {mode}")
        }
        Refusal::BandwidthShare { allowed_mbps } => format!(
            "the peer holds {allowed_mbps} Mbit/s, the most of the granted bandwidth that one peer \
             may hold in mode {mode}"
        ),
        Refusal::TooOften { allowed } => format!(
            "the peer was granted {allowed} new TURN sessions in the last minute, the most that one \
             peer may be"
        ),
        Refusal::NoTurnServer => "no TURN server has room".to_owned(),
        Refusal::Shutdown => format!("nothing is relayed in mode {mode}"),
    }
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
            Self::Refused { refusal, .. } => refusal.code(),
        }
    }

    fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.to_string(),
            code: self.code(),
            suggestion: self.suggestion().map(str::to_owned),
            field: match self {
                Self::Request(error) => error.field.clone().map(Cow::into_owned),
                _ => None,
            },
        }
    }

    /// The status that goes with it.
    pub(super) fn status(&self) -> StatusCode {
        status_of(self.code())
    }

    /// What the client can do about it.
    pub(super) fn suggestion(&self) -> Option<&'static str> {
        match self.code() {
            ErrorCode::PeerNotFound => {
                Some("register first with POST /register, then send heartbeats")
            }
            ErrorCode::NotFound => Some(
                "POST /register, /heartbeat, /register-turn-server, /allocate-turn, /release-turn \
                 or /report-turn-usage, or GET /peers, /turn-servers, /stats, /cost-stats or \
                 /health",
            ),
            ErrorCode::PrivacyViolation => {
                Some("list the crypto-IPv6 only; real addresses belong in realAddresses, if at all")
            }
            ErrorCode::UnsupportedMediaType => {
                Some("send the header Content-Type: application/json")
            }
            ErrorCode::Throttled
            | ErrorCode::Overloaded
            | ErrorCode::StorageUnavailable
            | ErrorCode::Starting
            | ErrorCode::RegistryFull => Some("try again after the time in Retry-After"),
            ErrorCode::Unauthorized => Some("send the header Authorization: Bearer and the token"),
            ErrorCode::ForeignOrigin => {
                Some("open the page from this machine, or reach the registry by its own name")
            }
            ErrorCode::HeadTooLarge => Some("send fewer or shorter headers"),
            ErrorCode::SessionNotFound => Some("allocate a session with POST /allocate-turn"),
            ErrorCode::AttemptP2pFirst => {
                Some("try a direct connection, then ask again with p2pAttempted: true")
            }
            ErrorCode::SessionLimit => Some("renew or release a session that you hold"),
            ErrorCode::NoTurnServer
            | ErrorCode::BandwidthShare
            | ErrorCode::PremiumSessionLimit
            | ErrorCode::PremiumOnly
            | ErrorCode::RenewalsOnly
            | ErrorCode::RelayShutdown => Some("use a direct connection, or try again later"),
            ErrorCode::InvalidJson
            | ErrorCode::MissingField
            | ErrorCode::InvalidField
            | ErrorCode::MethodNotAllowed
            | ErrorCode::RequestTimeout
            | ErrorCode::PayloadTooLarge
            | ErrorCode::Internal => None,
        }
    }
}

/// The status of each code.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidJson | ErrorCode::MissingField | ErrorCode::InvalidField => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::PrivacyViolation | ErrorCode::ForeignOrigin => StatusCode::FORBIDDEN,
        ErrorCode::PeerNotFound | ErrorCode::NotFound | ErrorCode::SessionNotFound => {
            StatusCode::NOT_FOUND
        }
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::Throttled
        | ErrorCode::AttemptP2pFirst
        | ErrorCode::SessionLimit
        | ErrorCode::BandwidthShare
        | ErrorCode::PremiumOnly
        | ErrorCode::PremiumSessionLimit
        | ErrorCode::RenewalsOnly => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded
        | ErrorCode::StorageUnavailable
        | ErrorCode::Starting
        | ErrorCode::RegistryFull
        | ErrorCode::NoTurnServer
        | ErrorCode::RelayShutdown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Seconds to wait before trying again: a base and as much again at random, so that clients which
/// were refused together do not come back together.
pub(super) fn retry_after_secs(code: ErrorCode) -> Option<u64> {
    let base = match code {
        ErrorCode::Overloaded | ErrorCode::Starting => 1,
        ErrorCode::Throttled | ErrorCode::StorageUnavailable => 5,
        ErrorCode::RegistryFull => 60,
        _ => return None,
    };
    Some(base + rand::random_range(0..=base))
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let code = self.code();
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CACHE_CONTROL, "no-store"));
        let retry_after_secs = match self {
            Self::WrongTokens { retry_after_secs } => {
                Some(retry_after_secs + rand::random_range(0..=5))
            }
            _ => retry_after_secs(code),
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
    let retry_after = match retry_after_secs(error.code()) {
        Some(secs) => format!("retry-after: {secs}\r\n"),
        None => String::new(),
    };
    format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         {retry_after}\r\n{body}",
        error.status(),
        body.len()
    )
    .into_bytes()
}
