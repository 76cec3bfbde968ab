//! Seals what the server must remember, so that the client can keep it for the server.
//!
//! A sealed text is base64url of the content followed by 16 bytes of HMAC-SHA256 over a label and the
//! content. The label differs for challenges and tokens, so that one never passes for the other.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::base64url;

/// The length of the authentication code, in bytes. 128 bits cannot be guessed.
const CODE_BYTES: usize = 16;

/// The version of the format of the content, which is its first byte.
pub(crate) const VERSION: u8 = 1;

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The state of a handshake, in `opaque`.
    Challenge,
    /// The proof of a finished handshake, in `bearer`.
    Token,
}

/// Why a sealed text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealFault {
    /// It was changed, or sealed with another key, or for another purpose.
    #[error("it was not made by this server, or too long ago")]
    NotOurs,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// It was made for another name of the server.
    #[error("it was made for another host")]
    OtherHost,
    /// It was made for a key of a kind that is no longer allowed.
    #[error("it was made for a key of a type that is not allowed")]
    TypeNotAllowed,
}

/// A key that seals and opens. Its bytes must be random and secret.
#[derive(Clone)]
pub struct SealingKey {
    // Prepared, since preparing takes as long as sealing a token.
    challenge: Hmac<Sha256>,
    token: Hmac<Sha256>,
}

impl SealingKey {
    /// A key of these 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        // HMAC fills up a short key with zeros (RFC 2104, 2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(bytes);
        let mac = Hmac::<Sha256>::new(&block.into());
        Self {
            challenge: mac.clone().chain_update(b"peer-registry challenge\0"),
            token: mac.chain_update(b"peer-registry token\0"),
        }
    }

    fn mac(&self, kind: Kind, content: &[u8]) -> Hmac<Sha256> {
        let prepared = match kind {
            Kind::Challenge => &self.challenge,
            Kind::Token => &self.token,
        };
        prepared.clone().chain_update(content)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The keys that are in use: the current one seals, and both open.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    current: SealingKey,
    previous: Option<SealingKey>,
}

impl SealingKeys {
    /// The current key, and the one before it. What the latter sealed stays valid until it expires.
    pub fn new(current: SealingKey, previous: Option<SealingKey>) -> Self {
        Self { current, previous }
    }

    /// The keys after a rotation: `new` is the current one, and the oldest is forgotten.
    #[must_use]
    pub fn rotated(self, new: SealingKey) -> Self {
        Self {
            current: new,
            previous: Some(self.current),
        }
    }

    /// Seals `content` with the current key.
    pub(crate) fn seal(&self, kind: Kind, mut content: Vec<u8>) -> String {
        let code = self.current.mac(kind, &content).finalize().into_bytes();
        content.extend_from_slice(&code[..CODE_BYTES]);
        base64url::encode(content)
    }

    /// Returns the content of a sealed text; `None` if it was not sealed by one of the keys. The comparison
    /// takes the same time for each wrong text.
    pub(crate) fn open(&self, kind: Kind, text: &str) -> Option<Vec<u8>> {
        let mut bytes = base64url::decode(text)?;
        let len = bytes.len().checked_sub(CODE_BYTES)?;
        let (content, code) = bytes.split_at(len);
        let is_ours = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| key.mac(kind, content).verify_truncated_left(code).is_ok());
        bytes.truncate(len);
        is_ours.then_some(bytes)
    }
}

/// The first 16 bytes of SHA-256 of the name by which a client called the server, in lower case and with its
/// port. It binds what is sealed to that name.
pub(crate) fn host_hash(host: &str) -> [u8; 16] {
    let digest = Sha256::digest(host.to_ascii_lowercase().as_bytes());
    std::array::from_fn(|index| digest[index])
}

/// Reads the fields of a content from its start.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    /// Takes the next `N` bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    /// Takes a time in Unix milliseconds.
    pub(crate) fn time_ms(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> SealingKeys {
        SealingKeys::new(SealingKey::new(&[byte; 32]), None)
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_and_for_the_same_purpose_only() {
        let sealed = keys(1).seal(Kind::Token, b"content".to_vec());
        assert_eq!(
            keys(1).open(Kind::Token, &sealed).as_deref(),
            Some(&b"content"[..])
        );
        assert_eq!(keys(1).open(Kind::Challenge, &sealed), None);
        assert_eq!(keys(2).open(Kind::Token, &sealed), None);
        for wrong in ["", "AAAA", "not base64!", &sealed[4..]] {
            assert_eq!(keys(1).open(Kind::Token, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_code_is_that_of_hmac_sha256() {
        // From Python: hmac.new(bytes([1] * 32), b"peer-registry token\0content", "sha256")
        let sealed = keys(1).seal(Kind::Token, b"content".to_vec());
        assert_eq!(sealed, "Y29udGVudCvrpTdeRe8AsZ9COp_LRDk=");
    }

    #[test]
    fn a_key_is_good_for_one_rotation() {
        let sealed = keys(1).seal(Kind::Challenge, b"content".to_vec());
        let once = keys(1).rotated(SealingKey::new(&[2; 32]));
        assert!(once.open(Kind::Challenge, &sealed).is_some());
        assert!(
            keys(2)
                .open(Kind::Challenge, &once.seal(Kind::Challenge, Vec::new()))
                .is_some()
        );
        let twice = once.rotated(SealingKey::new(&[3; 32]));
        assert_eq!(twice.open(Kind::Challenge, &sealed), None);
    }

    #[test]
    fn no_key_is_in_the_debug_output() {
        assert_eq!(
            format!("{:?}", keys(7)),
            "SealingKeys { current: [secret], previous: None }"
        );
    }
}
