//! What a server decides on the header `Authorization` of a request.

use thiserror::Error;

use super::header::HeaderFault;
use super::ids::KeyNames;
use super::keys::{KeyFault, PeerKey};
use super::scheme::{MIN_CHALLENGE_CHARS, SCHEME};
use super::sealed::SealFault;

/// The decision on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request has no header of the scheme. Whether it must have one is for others to decide.
    Absent,
    /// The sender holds the key with these names.
    Proven {
        /// The names of the sender's key.
        names: KeyNames,
        /// How the sender proved it.
        proof: Proof,
    },
    /// The sender asked for a handshake: the response is 401 with this value of `WWW-Authenticate`.
    Challenge {
        /// The value of the header.
        www_authenticate: String,
    },
    /// The header is wrong: the response is 401. It is never taken for a request without the header.
    Invalid {
        /// What is wrong with it.
        reason: InvalidReason,
        /// The value of `WWW-Authenticate`, with which the client can start again.
        www_authenticate: String,
    },
    /// The request has the header, but calls the server by a name that the operator did not declare: the
    /// response is 400.
    UnknownHost,
}

/// How a sender proved that it holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a signature.
    Handshake {
        /// The sender's key.
        key: Box<PeerKey>,
        /// The value of the header `Authentication-Info`, which MUST be in the response, whatever its status
        /// is: otherwise the client cannot know that the handshake has ended.
        authentication_info: String,
        /// The end of the token in that header, in Unix milliseconds.
        expires_at_ms: i64,
    },
    /// By a token from an earlier handshake. Nothing is added to the response.
    Bearer {
        /// The end of the token, in Unix milliseconds.
        expires_at_ms: i64,
    },
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidReason {
    /// It cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// It is no step of a handshake.
    #[error(
        "{SCHEME} needs bearer, or opaque and sig, or challenge-server and public-key; the response to a challenge without sig also needs challenge-server and public-key"
    )]
    Incomplete,
    /// The challenge for the server is too short to be random.
    #[error("challenge-server is shorter than {MIN_CHALLENGE_CHARS} characters")]
    ChallengeTooShort,
    /// The sender's key is refused.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The sender began the handshake with another key.
    #[error("public-key is not the one that the handshake began with")]
    OtherKey,
    /// The state of the handshake is refused.
    #[error("opaque is refused: {0}")]
    Opaque(#[source] SealFault),
    /// The token is refused.
    #[error("bearer is refused: {0}")]
    Bearer(#[source] SealFault),
    /// The signature does not verify.
    #[error("sig does not verify for this challenge, this host and the public keys of both sides")]
    WrongSignature,
}
