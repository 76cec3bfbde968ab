//! The node's key, and the names that are derived from it.

use std::net::Ipv6Addr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use libp2p_identity::{Keypair, PublicKey};

use super::error::IdentityError;
use crate::protocol::PeerId;
use crate::protocol::authentication::crypto_ipv6;

/// The multihash code of an id that is its public key itself.
const IDENTITY_HASH: u64 = 0;
/// js-libp2p writes base64 without padding, kubo with it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A node's key, its `peerId` and its crypto-IPv6 address.
///
/// The private key proves to registries that the node holds it. An identity may also come from a public
/// key, or from an id that contains it; then nothing is proven.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `None` if only the public key is known.
    keypair: Option<Keypair>,
    peer_id: PeerId,
    crypto_ipv6: Ipv6Addr,
}

impl Identity {
    /// Makes a new Ed25519 identity, which is not saved.
    pub fn generate() -> Self {
        Self::from(&Keypair::generate_ed25519())
    }

    /// Reads a key in libp2p's protobuf encoding, e.g. of a node that keeps its key itself.
    ///
    /// # Errors
    /// [`IdentityError::NotAKey`] if the bytes are not an Ed25519 key in that encoding.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, IdentityError> {
        match Keypair::from_protobuf_encoding(bytes) {
            Ok(keypair) => Ok(Self::from(&keypair)),
            Err(_) => Err(IdentityError::NotAKey),
        }
    }

    /// Reads a key in libp2p's protobuf encoding as base64, with or without padding: as js-libp2p writes
    /// it, and as kubo keeps it (`Identity.PrivKey` in its configuration).
    ///
    /// # Errors
    /// [`IdentityError::NotAKey`] if the text is not an Ed25519 key in that encoding.
    pub fn from_base64(text: &str) -> Result<Self, IdentityError> {
        let bytes = BASE64
            .decode(text.trim())
            .map_err(|_| IdentityError::NotAKey)?;
        Self::from_protobuf(&bytes)
    }

    /// The identity of the node with this public key. Nothing is proven by it.
    pub fn from_public_key(public: &PublicKey) -> Self {
        let peer_id = public.to_peer_id().to_base58();
        Self {
            keypair: None,
            peer_id: PeerId::from_trusted(&peer_id),
            crypto_ipv6: crypto_ipv6(public),
        }
    }

    /// The identity of the node with this libp2p id, e.g. `12D3KooW...`, or its spelling as a CID.
    /// Nothing is proven by it.
    ///
    /// # Errors
    /// [`IdentityError::NoPublicKey`] if the text is not such an id, or the id does not contain its
    /// public key, as those of Ed25519 keys do. [`Registration::of_id`] announces any id.
    ///
    /// [`Registration::of_id`]: crate::agent::Registration::of_id
    pub fn from_peer_id(id: &str) -> Result<Self, IdentityError> {
        let canonical = PeerId::canonical(id);
        let id = canonical.as_deref().unwrap_or(id);
        let id: libp2p_identity::PeerId = id.parse().map_err(|_| IdentityError::NoPublicKey)?;
        let hash = id.as_ref();
        if hash.code() != IDENTITY_HASH {
            return Err(IdentityError::NoPublicKey);
        }
        match PublicKey::try_decode_protobuf(hash.digest()) {
            Ok(public) => Ok(Self::from_public_key(&public)),
            Err(_) => Err(IdentityError::NoPublicKey),
        }
    }

    /// The key in libp2p's protobuf encoding; `None` if the private key is not known.
    pub(crate) fn to_protobuf(&self) -> Option<Vec<u8>> {
        self.keypair.as_ref()?.to_protobuf_encoding().ok()
    }

    /// Whether the private key is known, so that the node can prove its id.
    pub fn has_private_key(&self) -> bool {
        self.keypair.is_some()
    }

    /// The key pair; `None` if the private key is not known.
    pub(crate) fn keypair(&self) -> Option<&Keypair> {
        self.keypair.as_ref()
    }

    /// The node's id: the hash of its public key, in libp2p's base58 form.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// The node's crypto-IPv6 address, which does not reveal where the node is: the first 16 bytes
    /// of SHA-256 over the public key in lowercase hexadecimal, with the first group replaced by
    /// `fd00`. The public key is that of Ed25519 itself; of other kinds of keys it is libp2p's
    /// protobuf encoding.
    pub fn crypto_ipv6(&self) -> Ipv6Addr {
        self.crypto_ipv6
    }

    /// The crypto-IPv6 address with all its digits, e.g. `fd00:0eca:...`, as nodes announce it.
    pub fn crypto_ipv6_text(&self) -> String {
        let groups = self.crypto_ipv6.segments();
        groups.map(|group| format!("{group:04x}")).join(":")
    }

    /// The multiaddr that lists the node for TCP: its crypto-IPv6 address, `port` and its id.
    pub fn address(&self, port: u16) -> String {
        self.address_with(&format!("/tcp/{port}"))
    }

    /// The multiaddr that lists the node for any transport, which follows the crypto-IPv6 address, e.g.
    /// `/udp/4001/quic-v1` or `/tcp/4002/ws`.
    pub fn address_with(&self, transport: &str) -> String {
        let (address, id) = (self.crypto_ipv6_text(), &self.peer_id);
        format!("/ip6/{address}{transport}/p2p/{id}")
    }
}

impl From<&Keypair> for Identity {
    fn from(keypair: &Keypair) -> Self {
        Self {
            keypair: Some(keypair.clone()),
            ..Self::from_public_key(&keypair.public())
        }
    }
}

impl From<&PublicKey> for Identity {
    fn from(public: &PublicKey) -> Self {
        Self::from_public_key(public)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use libp2p_identity::ed25519;

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

            let identity = Identity::from(&Keypair::from(keypair));
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

    #[test]
    fn a_key_is_read_from_base64_as_js_libp2p_and_kubo_write_it() {
        let keypair = Keypair::generate_ed25519();
        let bytes = keypair.to_protobuf_encoding().unwrap();
        let padded = base64::engine::general_purpose::STANDARD.encode(&bytes);
        assert!(padded.ends_with('='), "{padded}");
        let unpadded = padded.trim_end_matches('=');
        for text in [padded.as_str(), unpadded, &format!("{padded}\n")] {
            let identity = Identity::from_base64(text).unwrap();
            let id = keypair.public().to_peer_id().to_base58();
            assert_eq!(identity.peer_id().as_str(), id);
        }
        for text in ["", "not base64", "AAAA"] {
            assert!(Identity::from_base64(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_key_and_an_id_give_the_same_names_as_the_key() {
        let keypair = Keypair::generate_ed25519();
        let identity = Identity::from(&keypair);
        let by_key = Identity::from(&keypair.public());
        let by_id = Identity::from_peer_id(identity.peer_id().as_str()).unwrap();
        for other in [by_key, by_id] {
            assert_eq!(other.peer_id(), identity.peer_id());
            assert_eq!(other.crypto_ipv6(), identity.crypto_ipv6());
            assert_eq!(other.to_protobuf(), None, "the private key is not known");
        }
        let of_rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        for id in [of_rsa, "", "node-1"] {
            assert!(Identity::from_peer_id(id).is_err(), "{id}");
        }
    }
}
