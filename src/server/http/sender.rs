//! The sender of a request, as far as it has proven its id.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev};

use super::errors::ApiError;
use crate::protocol::PeerId;
use crate::protocol::authentication::KeyNames;
use crate::server::model::Proof;

/// The key that the sender of a request has proven to hold. The authentication adds it to the
/// extensions of the request.
#[derive(Clone, Debug)]
pub(crate) struct ProvenPeer {
    /// The ids of the key.
    pub(crate) names: KeyNames,
    /// When it must be proven again, in Unix milliseconds.
    pub(crate) expires_at_ms: i64,
}

/// The sender of a request.
#[derive(Clone, Debug)]
pub(crate) struct Sender(Option<ProvenPeer>);

impl Sender {
    /// What the sender has proven.
    pub(crate) fn proven(&self) -> Option<&ProvenPeer> {
        self.0.as_ref()
    }

    /// Whether the sender has proven to be `peer_id`.
    ///
    /// # Errors
    /// `identity_mismatch` if it has proven to be another peer.
    pub(crate) fn proof_of(&self, peer_id: &PeerId) -> Result<Proof, ApiError> {
        match &self.0 {
            None => Ok(Proof::Unproven),
            Some(proven) if proven.names.include(peer_id) => Ok(Proof::Proven),
            Some(_) => Err(ApiError::IdentityMismatch),
        }
    }
}

impl FromRequest for Sender {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let extensions = request.extensions();
        ready(Ok(Self(extensions.get::<ProvenPeer>().cloned())))
    }
}
