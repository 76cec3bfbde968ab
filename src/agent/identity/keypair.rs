//! The node's Ed25519 key, and the names that are derived from it.

use std::net::Ipv6Addr;

use libp2p_identity::{Keypair, PublicKey, ed25519};
use sha2::{Digest, Sha256};

use super::error::IdentityError;
use crate::protocol::PeerId;

/// The first group of every crypto-IPv6 address.
const FIRST_GROUP: u16 = 0xfd00;

/// A node's Ed25519 key, its `peerId` and its crypto-IPv6 address.
#[derive(Clone, Debug)]
pub struct Identity {
    keypair: ed25519::Keypair,
    peer_id: PeerId,
    crypto_ipv6: Ipv6Addr,
}

impl Identity {
    /// Makes a new identity, which is not saved.
    pub fn generate() -> Self {
        Self::from_keypair(ed25519::Keypair::generate())
    }

    /// Reads a key in libp2p's protobuf encoding, e.g. of a node that keeps its key itself.
    ///
    /// # Errors
    /// [`IdentityError::NotAKey`] if the bytes are not an Ed25519 key in that encoding.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, IdentityError> {
        Keypair::from_protobuf_encoding(bytes)
            .ok()
            .and_then(|keypair| keypair.try_into_ed25519().ok())
            .map(Self::from_keypair)
            .ok_or(IdentityError::NotAKey)
    }

    /// The key in libp2p's protobuf encoding.
    pub(crate) fn to_protobuf(&self) -> Result<Vec<u8>, libp2p_identity::DecodingError> {
        Keypair::from(self.keypair.clone()).to_protobuf_encoding()
    }

    /// The node's id: the hash of its public key, in libp2p's base58 form.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// The node's crypto-IPv6 address, which does not reveal where the node is: the first 16 bytes
    /// of SHA-256 over the public key in lowercase hexadecimal, with the first group replaced by
    /// `fd00`.
    pub fn crypto_ipv6(&self) -> Ipv6Addr {
        self.crypto_ipv6
    }

    /// The crypto-IPv6 address with all its digits, e.g. `fd00:0eca:...`, as nodes announce it.
    pub fn crypto_ipv6_text(&self) -> String {
        let groups = self.crypto_ipv6.segments();
        groups.map(|group| format!("{group:04x}")).join(":")
    }

    /// The multiaddr that lists the node: its crypto-IPv6 address, `port` and its id.
    pub fn address(&self, port: u16) -> String {
        format!(
            "/ip6/{}/tcp/{port}/p2p/{}",
            self.crypto_ipv6_text(),
            self.peer_id
        )
    }

    fn from_keypair(keypair: ed25519::Keypair) -> Self {
        let public = keypair.public();
        let crypto_ipv6 = crypto_ipv6(&public);
        let peer_id = PublicKey::from(public).to_peer_id().to_base58();
        Self {
            peer_id: PeerId::from_trusted(&peer_id),
            crypto_ipv6,
            keypair,
        }
    }
}

fn crypto_ipv6(public: &ed25519::PublicKey) -> Ipv6Addr {
    let hex: String = public
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digest = Sha256::digest(hex.as_bytes());
    let mut groups: [u16; 8] =
        std::array::from_fn(|index| u16::from_be_bytes([digest[2 * index], digest[2 * index + 1]]));
    groups[0] = FIRST_GROUP;
    groups.into()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Vec<Value> {
        let text = include_str!("../../../tests/fixtures/crypto-ipv6.json");
        let parsed: Value = serde_json::from_str(text).unwrap();
        parsed["vectors"].as_array().unwrap().clone()
    }

    fn bytes(hex: &Value) -> Vec<u8> {
        let digits = hex.as_str().unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|index| u8::from_str_radix(&digits[index..index + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn every_vector_gives_its_peer_id_and_its_crypto_ipv6() {
        assert!(!vectors().is_empty());
        for vector in vectors() {
            let secret = ed25519::SecretKey::try_from_bytes(bytes(&vector["ed25519SeedHex"]));
            let keypair = ed25519::Keypair::from(secret.unwrap());
            let public = keypair.public().to_bytes().to_vec();
            assert_eq!(public, bytes(&vector["publicKeyHex"]));

            let identity = Identity::from_keypair(keypair);
            let (id, address) = (&vector["peerId"], &vector["cryptoIPv6"]);
            assert_eq!(identity.peer_id().as_str(), id);
            assert_eq!(&identity.crypto_ipv6_text(), address);
            assert_eq!(
                identity.address(4001),
                format!(
                    "/ip6/{}/tcp/4001/p2p/{}",
                    identity.crypto_ipv6_text(),
                    identity.peer_id()
                )
            );
        }
    }

    #[test]
    fn decoding_an_encoded_identity_gives_the_same_identity() {
        let identity = Identity::generate();
        let again = Identity::from_protobuf(&identity.to_protobuf().unwrap()).unwrap();
        assert_eq!(again.peer_id(), identity.peer_id());
        assert!(Identity::from_protobuf(b"").is_err());
    }
}
