//! Why a request to a registry failed, and why a client or an agent cannot be made.

use std::time::Duration;

use super::explained;
use super::refusal_code::RefusalCode;
use super::sanitize::with_causes;
use super::tls_fault::TlsFault;
use crate::protocol::{ErrorBody, ErrorCode};

/// Why a request to a registry brought no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The registry refused, and gave the reason in the error format of the protocol.
    #[error("{url} refused with {status} {code}: {}", .body.error)]
    Refused {
        /// The address that was requested, without a password.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The code as the registry sent it.
        code: RefusalCode,
        /// The reason that the registry gave. For a code that is unknown here, its `code` is the
        /// nearest known one by the status.
        body: Box<ErrorBody>,
        /// How long to wait before the next request, if the registry said so.
        retry_after: Option<Duration>,
    },
    /// The response does not come from a registry: it is a proxy's page, or garbage.
    #[error("{url} answered {status}, but not as a registry does: {reason}")]
    NotARegistry {
        /// The address that was requested, without a password.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the response.
        reason: String,
        /// Where it redirects to, if it does.
        location: Option<String>,
        /// The registry's address as the redirect suggests it; `None` if it leads elsewhere.
        moved_to: Option<String>,
        /// How long to wait before the next request, if the response said so.
        retry_after: Option<Duration>,
    },
    /// The response is longer than the client reads, so it is unknown whether a registry sent it.
    #[error("{url} answered {status} with more than {max_bytes} bytes")]
    TooLong {
        /// The address that was requested, without a password.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The limit that was exceeded, in bytes after decompression.
        max_bytes: usize,
        /// How long to wait before the next request, if the response said so.
        retry_after: Option<Duration>,
    },
    /// No response came in time.
    #[error("{url} did not answer within {timeout_secs} s{}", in_brackets(.way.as_deref()))]
    Timeout {
        /// The address that was requested, without a password.
        url: String,
        /// How long the client waited, in seconds.
        timeout_secs: f64,
        /// What is special about the way of the request, e.g. its proxy; `None` if nothing is.
        way: Option<String>,
    },
    /// The connection could not be opened, or it broke.
    #[error("cannot reach {url}")]
    Unreachable {
        /// The address that was requested, without a password.
        url: String,
        /// What failed: the name lookup, the connection or TLS.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClientError {
    /// Whether the same request may succeed later, unchanged.
    ///
    /// Only a registry that rejects the request itself (400, 403) rules that out, or one that does
    /// not know the peer, or wants a proof that the client does not have. Any other response may come from a proxy, or from a registry that is not
    /// set up yet.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                !matches!(status, 400 | 403)
                    && !self.is_peer_not_found()
                    && !self.is_proof_refused()
            }
            Self::NotARegistry { .. }
            | Self::TooLong { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. } => true,
        }
    }

    /// How long the response asks the client to wait, at most
    /// [`MAX_RETRY_AFTER`](super::MAX_RETRY_AFTER).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. }
            | Self::NotARegistry { retry_after, .. }
            | Self::TooLong { retry_after, .. } => *retry_after,
            Self::Timeout { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The HTTP status; `None` if there was no response.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. }
            | Self::NotARegistry { status, .. }
            | Self::TooLong { status, .. } => Some(*status),
            Self::Timeout { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// The reason that the registry gave; `None` if it gave no reason.
    pub fn body(&self) -> Option<&ErrorBody> {
        match self {
            Self::Refused { body, .. } => Some(body),
            _ => None,
        }
    }

    /// The code as the registry sent it; `None` if it gave no reason.
    pub fn code(&self) -> Option<&RefusalCode> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What failed, without the address: two requests with the same value failed for the same reason.
    pub(crate) fn reason(&self) -> String {
        match self {
            // The sentence may contain numbers that change.
            Self::Refused { status, code, .. } => format!("{status} {code}"),
            Self::NotARegistry { status, reason, .. } => format!("{status} {reason}"),
            Self::TooLong { status, .. } => format!("{status} too long"),
            Self::Timeout { .. } => "timeout".to_owned(),
            Self::Unreachable { source, .. } => with_causes(&**source),
        }
    }

    /// What is wrong with TLS; `None` if TLS is not the fault.
    pub(crate) fn tls_fault(&self) -> Option<TlsFault> {
        match self {
            Self::Unreachable { source, .. } => explained::tls_fault(&**source),
            _ => None,
        }
    }

    /// Whether the registry says that it does not know the peer. A proxy's 404 page does not count.
    pub fn is_peer_not_found(&self) -> bool {
        self.status() == Some(404)
            && self.body().map(|body| body.code) == Some(ErrorCode::PeerNotFound)
    }

    /// Whether the registry wants a proof of the node's key, or refuses the one that it got.
    pub fn is_proof_refused(&self) -> bool {
        matches!(
            self.body().map(|body| body.code),
            Some(ErrorCode::AuthenticationRequired | ErrorCode::InvalidAuthentication)
        )
    }

    /// Whether a registry, or a proxy in front of it, asks the client to slow down (429 or 503).
    pub fn is_throttled(&self) -> bool {
        matches!(self.status(), Some(429 | 503))
    }
}

fn in_brackets(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

/// Why a client or an agent could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address of a registry is not valid.
    #[error("{url:?} is not the address of a registry: {reason}")]
    InvalidUrl {
        /// The address, without a password.
        url: String,
        /// What it must be like.
        reason: &'static str,
    },
    /// What should be certificates in PEM form is not.
    #[error("this holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    Certificate {
        /// What failed; `None` if there is simply none.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// There is no tokio runtime to run the agent.
    #[error("there is no tokio runtime: start the agent from a task or within Runtime::block_on")]
    NoRuntime,
    /// The registration has no id, as the default one.
    #[error("the registration has no peerId")]
    NoPeerId,
    /// The id in the registration is one that every registry refuses.
    #[error("{reason}")]
    PeerId {
        /// What it must be like.
        reason: String,
    },
    /// The `networkId` of the registration is one that every registry refuses.
    #[error("networkId must be 1 to {max_bytes} bytes of visible text, not {given:?}")]
    NetworkId {
        /// The text, or its beginning.
        given: String,
        /// The max number of bytes.
        max_bytes: usize,
    },
    /// The registration names another node than the identity.
    #[error(
        "the registration has the id {registered}, which is not an id of the key of {identity}"
    )]
    OtherIdentity {
        /// The id in the registration.
        registered: String,
        /// The id of the key.
        identity: String,
    },
    /// No registry is given.
    #[error("no registry is given: the agent needs the address of at least one")]
    NoRegistry,
    /// HTTPS cannot be used, because the system has no trusted certificates.
    #[error(
        "cannot use HTTPS: the system has no trusted certificates; install them (ca-certificates), or \
         name them (SSL_CERT_FILE, --ca-file)"
    )]
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
