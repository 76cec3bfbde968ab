//! The keys of a server.

use std::fmt;

use libp2p_identity::{PublicKey, ed25519};

use super::sealed::SealingKeys;

/// The keys of a server: the one by which clients know it, and those that seal what it must remember.
#[derive(Clone)]
pub struct ServerKeys {
    identity: ed25519::Keypair,
    /// The public key in libp2p's protobuf encoding.
    public_key: Vec<u8>,
    sealing: SealingKeys,
}

impl ServerKeys {
    /// The keys of a server whose id is that of `identity`.
    pub fn new(identity: ed25519::Keypair, sealing: SealingKeys) -> Self {
        let public_key = PublicKey::from(identity.public()).encode_protobuf();
        Self {
            identity,
            public_key,
            sealing,
        }
    }

    /// The public key, from which the server's id is derived.
    pub fn public_key(&self) -> PublicKey {
        self.identity.public().into()
    }

    /// The public key in libp2p's protobuf encoding.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.public_key
    }

    /// The keys that seal.
    pub(crate) fn sealing(&self) -> &SealingKeys {
        &self.sealing
    }

    /// Signs `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.identity.sign(message)
    }
}

/// Without the private key and those that seal.
impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKeys")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}
