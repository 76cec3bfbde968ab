//! What can come of asking a registry.

use std::time::Duration;

use crate::protocol::{ErrorBody, ErrorCode};

/// Why a request to a registry brought no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The registry refused, and said why in the one error shape.
    #[error("{url} refused with {status} {}: {}", .body.code, .body.error)]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words.
        body: Box<ErrorBody>,
        /// How long to wait before asking again, if the registry said.
        retry_after: Option<Duration>,
    },
    /// Something answered, but not in the words of a registry: a proxy's page, or garbage.
    #[error("{url} answered {status}, but not as a registry does: {reason}")]
    NotARegistry {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the answer.
        reason: String,
        /// How long to wait before asking again, if the answer said.
        retry_after: Option<Duration>,
    },
    /// Something answered with more than is read, which says nothing of what it is.
    #[error("{url} answered {status} with more than {most_bytes} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The most that is read, in bytes, unpacked.
        most_bytes: usize,
        /// How long to wait before asking again, if the answer said.
        retry_after: Option<Duration>,
    },
    /// No answer came in time.
    #[error("{url} did not answer within {timeout_secs} s")]
    Timeout {
        /// What was asked.
        url: String,
        /// How long the answer was waited for, in seconds.
        timeout_secs: f64,
    },
    /// The connection could not be made, or broke.
    #[error("cannot reach {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What failed: the name, the connection, TLS.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether the same request may succeed later, without anything being changed in it.
    ///
    /// Only a registry that faults the request itself (400, 403) says that it will not. The rest
    /// may come from what stands before a registry, or from one that is being set up.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                !matches!(status, 400 | 403) && !self.is_peer_not_found()
            }
            Self::NotARegistry { .. }
            | Self::TooLong { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. } => true,
        }
    }

    /// How long the registry asks to be left alone, at most 10 minutes.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. }
            | Self::NotARegistry { retry_after, .. }
            | Self::TooLong { retry_after, .. } => *retry_after,
            Self::Timeout { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::NotARegistry { status, .. }
            | Self::TooLong { status, .. } => Some(*status),
            Self::Timeout { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The registry's own words, if it gave any.
    pub fn body(&self) -> Option<&ErrorBody> {
        match self {
            Self::Refused { body, .. } => Some(body),
            _ => None,
        }
    }

    /// Whether the registry says that it does not know the peer; a 404 page of a proxy is none.
    pub fn is_peer_not_found(&self) -> bool {
        self.status() == Some(404)
            && self.body().map(|body| body.code) == Some(ErrorCode::PeerNotFound)
    }

    /// Whether the one who asks is told to slow down, by a registry or by what stands before it.
    pub fn is_throttled(&self) -> bool {
        matches!(self.status(), Some(429 | 503))
    }
}

/// Why a client or an agent could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address of the registry is not one.
    #[error(
        "{url:?} is not the address of a registry: it must be like https://registry.example.org"
    )]
    InvalidUrl {
        /// The address.
        url: String,
    },
    /// There is no registry to register with.
    #[error("no registry is given: the agent needs the address of at least one")]
    NoRegistry,
    /// HTTPS cannot be used, since the system has no certificates to trust.
    #[error("cannot use HTTPS; are the system's certificates installed (ca-certificates)?")]
    Tls {
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The HTTP client cannot be made.
    #[error("cannot set up the HTTP client")]
    Http {
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
