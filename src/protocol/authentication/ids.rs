//! The names of a key: what a peer may call itself after it has proven that it holds the key.

use std::fmt::Write;
use std::net::Ipv6Addr;

use libp2p_identity::PublicKey;
use sha2::{Digest, Sha256};

use crate::protocol::PeerId;

/// The first group of every crypto-IPv6 address.
const FIRST_GROUP: u16 = 0xfd00;

/// What precedes an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, 4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What precedes an uncompressed secp256k1 key in a `SubjectPublicKeyInfo` (RFC 5480, 2).
#[cfg(feature = "secp256k1")]
const SECP256K1_SPKI_PREFIX: [u8; 23] = [
    0x30, 0x56, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x0a, 0x03, 0x42, 0x00,
];

/// The names that are derived from a public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    peer_id: PeerId,
    spki_sha256: [u8; 32],
    crypto_ipv6: Ipv6Addr,
}

impl KeyNames {
    /// The names of this key.
    pub fn of(key: &PublicKey) -> Self {
        Self {
            peer_id: PeerId::from_trusted(&key.to_peer_id().to_base58()),
            spki_sha256: Sha256::digest(spki(key)).into(),
            crypto_ipv6: crypto_ipv6(key),
        }
    }

    /// The names in a token, which only the server can have written.
    #[cfg(feature = "server")]
    pub(crate) fn from_token(peer_id: &str, spki_sha256: [u8; 32], crypto_ipv6: [u8; 16]) -> Self {
        Self {
            peer_id: PeerId::from_trusted(peer_id),
            spki_sha256,
            crypto_ipv6: crypto_ipv6.into(),
        }
    }

    /// The libp2p id of the key in base58, e.g. `12D3KooW...`.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// SHA-256 of the key's `SubjectPublicKeyInfo` in DER. Nodes of the newer DIG network use it in
    /// lower-case hexadecimal as their id.
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// The crypto-IPv6 address of the key.
    pub fn crypto_ipv6(&self) -> Ipv6Addr {
        self.crypto_ipv6
    }

    /// Whether `id` is an id of the key: its libp2p id, in base58 or spelled as a CID, or
    /// [`spki_sha256`](Self::spki_sha256) in lower-case hexadecimal.
    pub fn include(&self, id: &PeerId) -> bool {
        // A `PeerId` that was parsed is in base58, whatever its spelling was.
        if *id == self.peer_id {
            return true;
        }
        let id = id.as_str();
        id.len() == 64 && id == hex(&self.spki_sha256)
            || PeerId::canonical(id).is_some_and(|id| id == self.peer_id.as_str())
    }
}

/// The crypto-IPv6 address of a key: the first 16 bytes of SHA-256 over the public key in lower-case
/// hexadecimal, with the first group replaced by `fd00`. The public key is that of Ed25519 itself; of other
/// kinds of keys it is libp2p's protobuf encoding.
pub(crate) fn crypto_ipv6(public: &PublicKey) -> Ipv6Addr {
    let bytes = match public.clone().try_into_ed25519() {
        Ok(ed25519) => ed25519.to_bytes().to_vec(),
        Err(_) => public.encode_protobuf(),
    };
    let digest = Sha256::digest(hex(&bytes).as_bytes());
    let mut groups: [u16; 8] =
        std::array::from_fn(|index| u16::from_be_bytes([digest[2 * index], digest[2 * index + 1]]));
    groups[0] = FIRST_GROUP;
    groups.into()
}

/// The key's `SubjectPublicKeyInfo` in DER (RFC 5280, 4.1).
fn spki(key: &PublicKey) -> Vec<u8> {
    if let Ok(ed25519) = key.clone().try_into_ed25519() {
        return [&ED25519_SPKI_PREFIX[..], &ed25519.to_bytes()].concat();
    }
    #[cfg(feature = "secp256k1")]
    if let Ok(secp256k1) = key.clone().try_into_secp256k1() {
        return [
            &SECP256K1_SPKI_PREFIX[..],
            &secp256k1.to_bytes_uncompressed(),
        ]
        .concat();
    }
    #[cfg(feature = "ecdsa")]
    if let Ok(ecdsa) = key.clone().try_into_ecdsa() {
        return ecdsa.encode_der();
    }
    #[cfg(feature = "rsa")]
    if let Ok(rsa) = key.clone().try_into_rsa() {
        return rsa.encode_x509();
    }
    // There is no other kind in this build.
    key.encode_protobuf()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use libp2p_identity::ed25519;

    use super::*;
    use crate::protocol::Limits;

    /// The names of the key with 32 bytes of 2 as its seed, as the vectors have it.
    fn names() -> KeyNames {
        let secret = ed25519::SecretKey::try_from_bytes([2; 32]).unwrap();
        KeyNames::of(&ed25519::Keypair::from(secret).public().into())
    }

    fn id(text: &str) -> PeerId {
        PeerId::parse(text, "peerId", &Limits::default()).unwrap()
    }

    const BASE58: &str = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq";

    #[test]
    fn the_id_of_a_key_is_found_in_each_spelling() {
        let hash = bs58::decode(BASE58).into_vec().unwrap();
        let hash = cid::multihash::Multihash::from_bytes(&hash).unwrap();
        let cid = cid::Cid::new_v1(0x72, hash).to_string();
        assert_eq!(names().peer_id().as_str(), BASE58);
        for text in [BASE58, &cid, &hex(&names().spki_sha256())] {
            assert!(names().include(&id(text)), "{text}");
            // Ids that were stored by an earlier version are taken as they are.
            assert!(names().include(&PeerId::from_trusted(text)), "{text}");
        }
    }

    #[test]
    fn an_id_of_another_key_is_not_an_id_of_this_key() {
        let hex = hex(&names().spki_sha256());
        for text in [
            "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
            &BASE58.to_lowercase(),
            &hex.to_uppercase(),
            &hex[..63],
            &format!("{hex}0"),
            "node-1",
        ] {
            assert!(!names().include(&id(text)), "{text}");
        }
        assert!(!names().include(&PeerId::default()));
    }

    #[test]
    fn the_hash_is_that_of_the_key_as_openssl_writes_it() {
        // From `openssl pkey -pubout -outform DER | sha256sum`, for the key of the vectors.
        let expected = "47dea58ea00fae9417ee19d76755bfef690899021132effb04fe1f9e4f0c8059";
        assert_eq!(hex(&names().spki_sha256()), expected);
    }

    /// The keys have 32 bytes of 2 as their secret; the hashes are from OpenSSL, as above.
    #[cfg(all(feature = "secp256k1", feature = "ecdsa", feature = "rsa"))]
    #[test]
    fn the_hashes_of_other_kinds_are_those_of_openssl_too() {
        use libp2p_identity::{Keypair, ecdsa, secp256k1};

        let secp256k1 = secp256k1::SecretKey::try_from_bytes([2; 32]).unwrap();
        let ecdsa = ecdsa::SecretKey::try_from_bytes([2; 32]).unwrap();
        let mut rsa = include_bytes!("../../../tests/fixtures/rsa-2048-for-tests.pk8").to_vec();
        for (keypair, expected) in [
            (
                Keypair::from(secp256k1::Keypair::from(secp256k1)),
                "f87d5b740da758e6b0456368f7a4ab0d01e269d2bc8ca81eef82398d221371ed",
            ),
            (
                Keypair::from(ecdsa::Keypair::from(ecdsa)),
                "5a07a723c7956830ae2e6be0ef71b3991162f5ea42d2d54b869cf216734d78d3",
            ),
            (
                Keypair::rsa_from_pkcs8(&mut rsa).unwrap(),
                "0767d4b02b0323f005f7a919fb61992fd18f1fd98dd93a84ba2fbb764d06909e",
            ),
        ] {
            let names = KeyNames::of(&keypair.public());
            assert_eq!(
                hex(&names.spki_sha256()),
                expected,
                "{}",
                keypair.key_type()
            );
            let id = keypair.public().to_peer_id().to_base58();
            assert!(names.include(&self::id(&id)), "{id}");
        }
    }
}
