//! Public keys of peers.

use std::fmt;

use libp2p_identity::PublicKey;
use thiserror::Error;

use super::base64url;
use super::ids::KeyNames;
use super::key_types::{KeyType, KeyTypes};

/// Why a public key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// The text is not base64url, or the bytes are not a key in libp2p's encoding.
    #[error("the public key is not a key in libp2p's protobuf encoding")]
    NotAKey,
    /// Keys of this kind are not allowed, or this build does not support them.
    #[error("public keys of the type {0} are not allowed")]
    TypeNotAllowed(KeyType),
    /// The key is one of the few Ed25519 keys for which anyone can make signatures.
    #[error("the public key is weak")]
    Weak,
}

/// The public key of a peer, which was checked: its encoding is the only one of this key, its kind is
/// allowed, and it is not weak.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerKey {
    kind: KeyType,
    key: PublicKey,
    /// The key in libp2p's protobuf encoding.
    bytes: Vec<u8>,
}

impl PeerKey {
    /// Reads a key from base64url of libp2p's protobuf encoding.
    ///
    /// # Errors
    /// A [`KeyFault`] if it is not such a key, or must not be used.
    pub fn from_text(text: &str, allowed: KeyTypes) -> Result<Self, KeyFault> {
        let bytes = base64url::decode(text).ok_or(KeyFault::NotAKey)?;
        Self::from_bytes(bytes, allowed)
    }

    /// Reads a key from libp2p's protobuf encoding.
    ///
    /// # Errors
    /// A [`KeyFault`] if it is not such a key, or must not be used.
    pub fn from_bytes(bytes: Vec<u8>, allowed: KeyTypes) -> Result<Self, KeyFault> {
        let kind = KeyType::of_protobuf(&bytes).ok_or(KeyFault::NotAKey)?;
        if !allowed.allows(kind) || !kind.is_supported() {
            return Err(KeyFault::TypeNotAllowed(kind));
        }
        let key = PublicKey::try_decode_protobuf(&bytes).map_err(|_| KeyFault::NotAKey)?;
        // One key, one encoding: the ids are hashes of it, and it is part of what is signed.
        if key.encode_protobuf() != bytes {
            return Err(KeyFault::NotAKey);
        }
        if is_weak(&key) {
            return Err(KeyFault::Weak);
        }
        Ok(Self { kind, key, bytes })
    }

    /// The kind of the key.
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The key in libp2p's protobuf encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key as libp2p has it.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The names of the key.
    pub fn names(&self) -> KeyNames {
        KeyNames::of(&self.key)
    }

    /// Whether the holder of the key made `signature` for `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature)
    }
}

/// Writes the key as it is in headers.
impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.bytes))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.kind)
    }
}

/// Whether the key is a point of small order. Signatures that pass for such a key can be made without a
/// private key.
fn is_weak(key: &PublicKey) -> bool {
    let Ok(ed25519) = key.clone().try_into_ed25519() else {
        return false;
    };
    let key = ed25519_dalek::VerifyingKey::from_bytes(&ed25519.to_bytes());
    key.map_or(true, |key| key.is_weak())
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;

    /// The encodings of the points of small order on the curve, the last ones not canonical.
    const SMALL_ORDER: [&str; 10] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap())
            .collect()
    }

    fn protobuf(ed25519: &[u8]) -> Vec<u8> {
        [&[0x08, 1, 0x12, 32], ed25519].concat()
    }

    #[test]
    fn a_weak_key_is_refused() {
        for point in SMALL_ORDER {
            let key = PeerKey::from_bytes(protobuf(&bytes(point)), KeyTypes::default());
            assert_eq!(key, Err(KeyFault::Weak), "{point}");
        }
    }

    #[test]
    fn a_key_has_one_encoding_only() {
        let allowed = KeyTypes::default();
        let good = Keypair::generate_ed25519().public().encode_protobuf();
        let key = PeerKey::from_bytes(good.clone(), allowed).unwrap();
        assert_eq!(PeerKey::from_text(&key.to_string(), allowed), Ok(key));
        let unpadded = base64url::encode(&good);
        assert!(PeerKey::from_text(unpadded.trim_end_matches('='), allowed).is_ok());
        let reordered = [&good[2..], &good[..2]].concat();
        let long_type = [&[0x08, 0x81, 0x00], &good[2..]].concat();
        let with_unknown_field = [&good[..], &[0x18, 1]].concat();
        for other in [
            reordered,
            long_type,
            with_unknown_field,
            good[..good.len() - 1].to_vec(),
            [&good[..], b"a"].concat(),
            protobuf(&[2; 31]),
            Vec::new(),
        ] {
            let refused = PeerKey::from_bytes(other.clone(), allowed);
            assert_eq!(refused, Err(KeyFault::NotAKey), "{other:?}");
        }
    }

    #[test]
    fn kinds_that_are_not_allowed_are_refused_before_they_are_read() {
        for (code, kind) in [
            (0, KeyType::Rsa),
            (2, KeyType::Secp256k1),
            (3, KeyType::Ecdsa),
        ] {
            let refused = PeerKey::from_bytes(vec![0x08, code], KeyTypes::default());
            assert_eq!(refused, Err(KeyFault::TypeNotAllowed(kind)));
            assert_eq!(KeyTypes::supported().allows(kind), kind.is_supported());
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let ed25519 = Keypair::generate_ed25519().public().encode_protobuf();
        let refused = PeerKey::from_bytes(ed25519, KeyTypes::from_iter([KeyType::Rsa]));
        assert_eq!(refused, Err(KeyFault::TypeNotAllowed(KeyType::Ed25519)));
    }
}
