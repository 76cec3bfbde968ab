//! The one table from errors to statuses, headers and bodies.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, ResponseError};

use super::media_type::UnsupportedMedia;
use super::refusals::Refused;
use crate::protocol::authentication::InvalidReason;
use crate::protocol::{ErrorBody, ErrorCode, RequestError};
use crate::server::registry::RegistryError;

/// An error response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
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
    #[error(transparent)]
    Media(#[from] UnsupportedMedia),
    #[error("the body must be at most {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("the body must be at most {max_bytes} bytes when it is uncompressed")]
    InflatedTooLarge { max_bytes: usize },
    #[error("the body must arrive within {secs} seconds")]
    TooSlow { secs: u64 },
    #[error("the body could not be read to its end")]
    BrokenBody,
    #[error("the head of a request must be at most {max_bytes} bytes")]
    HeadTooLarge { max_bytes: usize },
    #[error("the head of a request must arrive within {secs} seconds")]
    HeadTooSlow { secs: u64 },
    #[error("what was sent is not well-formed HTTP/1.1")]
    NotHttp,
    #[error("incomplete requests use all the memory that is reserved for them")]
    InputBudget,
    #[error(
        "the header Origin must be a page of this machine: a page of another site may not write \
         to a registry on localhost"
    )]
    ForeignOrigin,
    #[error("the operator's token is required")]
    NotTheOperator,
    #[error("the header Authorization is no proof: {0}")]
    InvalidAuthentication(InvalidReason),
    #[error(
        "Host is not a name by which this registry proves itself; its operator can declare it in \
         PUBLIC_HOSTS"
    )]
    UnknownHost,
    #[error("a handshake: answer the challenge in the header WWW-Authenticate")]
    Handshake,
    #[error("the proof in the header Authorization is of another peer than peerId")]
    IdentityMismatch,
    #[error("too many wrong tokens were sent")]
    WrongTokens { retry_after_secs: u64 },
}

impl ApiError {
    /// Returns the response, for handlers that only refuse.
    pub(crate) fn into_response(self) -> HttpResponse {
        self.error_response()
    }

    /// What is refused, for the counts and the log.
    pub(crate) fn refusal(&self) -> Refused {
        Refused {
            code: self.code(),
            message: self.to_string(),
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Request(error) => error.code,
            Self::Registry(RegistryError::UnknownPeer) => ErrorCode::PeerNotFound,
            Self::Registry(RegistryError::UnknownSession) => ErrorCode::SessionNotFound,
            Self::Registry(RegistryError::AuthenticationRequired) => {
                ErrorCode::AuthenticationRequired
            }
            Self::IdentityMismatch => ErrorCode::IdentityMismatch,
            Self::InvalidAuthentication(_) => ErrorCode::InvalidAuthentication,
            Self::UnknownHost => ErrorCode::UnknownHost,
            Self::Handshake => ErrorCode::AuthenticationRequired,
            Self::Registry(RegistryError::RegistryFull) => ErrorCode::RegistryFull,
            Self::Registry(RegistryError::Overloaded) => ErrorCode::Overloaded,
            Self::Registry(
                RegistryError::StorageUnavailable | RegistryError::Stopped | RegistryError::Stuck,
            ) => ErrorCode::StorageUnavailable,
            Self::Starting { .. } => ErrorCode::Starting,
            Self::NoSuchPath => ErrorCode::NotFound,
            Self::WrongMethod { .. } => ErrorCode::MethodNotAllowed,
            Self::Media(_) => ErrorCode::UnsupportedMediaType,
            Self::TooLarge { .. } | Self::InflatedTooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::TooSlow { .. } | Self::HeadTooSlow { .. } => ErrorCode::RequestTimeout,
            Self::HeadTooLarge { .. } => ErrorCode::HeadTooLarge,
            Self::NotHttp => ErrorCode::InvalidHttp,
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
            suggestion: match self {
                Self::Media(media) => Some(media.suggestion().to_owned()),
                _ => row_of(self.code()).suggestion.map(str::to_owned),
            },
            field: match self {
                Self::Request(error) => error.field.clone().map(Cow::into_owned),
                _ => None,
            },
        }
    }
}

/// The parts of a response that its error code determines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CodeRow {
    pub(crate) status: StatusCode,
    /// The minimum of `Retry-After`, in seconds; `None` if the error sets it or there is none.
    retry_after_secs: Option<u64>,
    /// What the client can do about the error.
    pub(crate) suggestion: Option<&'static str>,
}

impl CodeRow {
    /// Returns the seconds until a retry: between one and two times the minimum, at random, so that
    /// clients which were refused at the same time do not retry at the same time.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        let base = self.retry_after_secs?;
        Some(base + rand::random_range(0..=base))
    }
}

// The suggestions in the table below.
const ALLOCATE: &str = "allocate a session with POST /allocate-turn";
const CHECK_PROTOCOL: &str =
    "send HTTP/1.1 without TLS and without a proxy protocol, in the form of RFC 9112";
const LIST_CRYPTO_IPV6: &str =
    "list the crypto-IPv6 only; real addresses belong in realAddresses, if at all";
const OPEN_LOCALLY: &str = "open the page from this machine, or reach the registry by its own name";
const OWN_ID: &str = "send the peerId of the key that was proven, or leave the header out";
const PATHS: &str = "POST /register, /heartbeat, /register-turn-server, /allocate-turn, /release-turn or \
     /report-turn-usage, DELETE /peers/{peerId}, or GET /peers, /peers/{peerId}, /turn-servers, /stats, /cost-stats or /health, or any method with /auth";
const PROVE_KEY: &str = "prove that you hold the key of this peerId, with the scheme libp2p-PeerID (see docs/identity.md)";
const PROVE_AGAIN: &str = "prove the key again, from the challenge in the header WWW-Authenticate";
const REGISTER: &str = "register first with POST /register, then send heartbeats";
const RELEASE_SESSION: &str = "renew or release a session that you hold";
const RETRY_LATER: &str = "try again after the time in Retry-After";
const SEND_TOKEN: &str = "send the header Authorization: Bearer and the token";
const SEND_LESS: &str =
    "send less, e.g. fewer stores: those beyond the registry's limit would be dropped anyway";
const SHORTEN_HEADERS: &str = "send fewer or shorter headers";
/// Nodes in the field compare with this word; the sentence is in `error`.
const TRY_DIRECT_FIRST: &str = "attempt_p2p_first";
const USE_DIRECT: &str = "use a direct connection, or try again later";

/// The one table from codes to statuses, `Retry-After` and suggestions.
///
/// The server produces no [`ErrorCode::Internal`]: a panic in a handler ends the task of its
/// connection, so the client sees the connection close. The code is here because nodes know it.
pub(crate) fn row_of(code: ErrorCode) -> CodeRow {
    use ErrorCode as Code;
    let (status, retry_after_secs, suggestion) = match code {
        Code::InvalidJson | Code::MissingField | Code::InvalidField => {
            (StatusCode::BAD_REQUEST, None, "")
        }
        Code::InvalidHttp => (StatusCode::BAD_REQUEST, None, CHECK_PROTOCOL),
        Code::Unauthorized => (StatusCode::UNAUTHORIZED, None, SEND_TOKEN),
        Code::AuthenticationRequired => (StatusCode::UNAUTHORIZED, None, PROVE_KEY),
        Code::InvalidAuthentication => (StatusCode::UNAUTHORIZED, None, PROVE_AGAIN),
        Code::UnknownHost => (StatusCode::BAD_REQUEST, None, ""),
        Code::IdentityMismatch => (StatusCode::FORBIDDEN, None, OWN_ID),
        Code::PrivacyViolation => (StatusCode::FORBIDDEN, None, LIST_CRYPTO_IPV6),
        Code::ForeignOrigin => (StatusCode::FORBIDDEN, None, OPEN_LOCALLY),
        Code::PeerNotFound => (StatusCode::NOT_FOUND, None, REGISTER),
        Code::SessionNotFound => (StatusCode::NOT_FOUND, None, ALLOCATE),
        Code::NotFound => (StatusCode::NOT_FOUND, None, PATHS),
        Code::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, None, ""),
        Code::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, None, ""),
        Code::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None, SEND_LESS),
        Code::HeadTooLarge => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            (status, None, SHORTEN_HEADERS)
        }
        // The suggestion depends on the header.
        Code::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None, ""),
        Code::Throttled => (StatusCode::TOO_MANY_REQUESTS, Some(5), RETRY_LATER),
        // The errors of an allocation carry their own `Retry-After`.
        Code::AttemptP2pFirst => (StatusCode::TOO_MANY_REQUESTS, None, TRY_DIRECT_FIRST),
        Code::SessionLimit => (StatusCode::TOO_MANY_REQUESTS, None, RELEASE_SESSION),
        Code::BandwidthShare
        | Code::PremiumOnly
        | Code::PremiumSessionLimit
        | Code::RenewalsOnly => (StatusCode::TOO_MANY_REQUESTS, None, USE_DIRECT),
        Code::NoTurnServer | Code::RelayShutdown => {
            (StatusCode::SERVICE_UNAVAILABLE, None, USE_DIRECT)
        }
        Code::Overloaded | Code::Starting => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(1), RETRY_LATER)
        }
        Code::StorageUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(5), RETRY_LATER),
        Code::RegistryFull => (StatusCode::SERVICE_UNAVAILABLE, Some(60), RETRY_LATER),
        Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None, ""),
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
            // The rest of the request is not read, so no other request can follow on the connection.
            response.force_close();
        }
        if let Self::NotTheOperator = self {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Self::Media(UnsupportedMedia::Coding(_)) = self {
            response.insert_header((ACCEPT_ENCODING, "gzip"));
        }
        if let Self::WrongMethod { allowed } = self {
            response.insert_header((ALLOW, *allowed));
        }
        let mut response = response.json(self.body());
        // A step of a handshake refuses nothing: the client goes on.
        if !matches!(self, Self::Handshake) {
            response.extensions_mut().insert(self.refusal());
        }
        response
    }
}

/// The whole response as bytes, for requests that are refused before actix-http has parsed them.
pub(crate) fn raw_response(error: &ApiError) -> Vec<u8> {
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    let row = row_of(error.code());
    let retry_after = match row.retry_after_secs() {
        Some(secs) => format!("retry-after: {secs}\r\n"),
        None => String::new(),
    };
    // The same headers as the gate and actix-http set, except for the date.
    format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\
         {retry_after}\r\n{body}",
        row.status,
        body.len()
    )
    .into_bytes()
}
