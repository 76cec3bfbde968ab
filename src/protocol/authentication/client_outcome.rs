//! What a client gets from a response, and what follows from it.

use thiserror::Error;

use super::header::HeaderFault;
use super::keys::{KeyFault, PeerKey};
use super::parameters::ParameterName;
use super::scheme::MIN_CHALLENGE_CHARS;

/// What a client needs of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `WWW-Authenticate`, with several of them joined by commas.
    pub www_authenticate: Option<&'a str>,
    /// The header `Authentication-Info`.
    pub authentication_info: Option<&'a str>,
}

/// What to do after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The response is the one to the request, whatever its status is.
    Done,
    /// Send the same request again, with [`ClientAuthentication::next_header`](super::ClientAuthentication::next_header).
    SendAgain,
    /// The server does not know the scheme, or not for this request. Unless the status is 401, the response is
    /// the one to the request.
    NotSupported,
}

/// Why a client cannot go on. The next request starts from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientFault {
    /// A header of the server cannot be read.
    #[error("the server's header is wrong: {0}")]
    Header(#[from] HeaderFault),
    /// A header of the server lacks a parameter.
    #[error("the server's header lacks {0}")]
    Incomplete(ParameterName),
    /// The server's challenge is too short to be random.
    #[error("the server's challenge is shorter than {MIN_CHALLENGE_CHARS} characters")]
    ChallengeTooShort,
    /// The server's key is refused.
    #[error("the server's key is refused: {0}")]
    ServerKey(#[from] KeyFault),
    /// The server has another key than before. Nothing was proven to it.
    #[error("the server's key has changed")]
    ServerKeyChanged {
        /// The key that the server has now. It has not proven yet that it holds it.
        offered: Box<PeerKey>,
    },
    /// The server did not prove that it holds its key.
    #[error("the server did not prove that it holds its key")]
    ServerNotProven,
    /// The server refused the proof.
    #[error("the server refused the proof")]
    Refused,
    /// The client's key cannot sign.
    #[error("the client's key cannot sign")]
    CannotSign,
}
