//! Ids of peers.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cid::{Cid, multibase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Limits, RequestError};

/// The name of a peer: 1 to 128 (by default) of the characters `A-Z a-z 0-9 . _ -`.
///
/// The alphabet is safe in a URL, a log line and a shell, so an id needs no escaping anywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// Parses `text` as a peer id. The error names `field` and the allowed form.
    pub fn parse(text: &str, field: &'static str, limits: &Limits) -> Result<Self, RequestError> {
        let id = Self::canonical(text).map_or(Cow::Borrowed(text), Cow::Owned);
        if Self::is_well_formed(&id, limits) {
            Ok(Self((&*id).into()))
        } else {
            Err(RequestError::invalid(field, &Self::form(limits)))
        }
    }

    /// Parses `text` as the id of a peer that registers. The error names `field` and the allowed
    /// form.
    ///
    /// It must begin with a letter or a digit: listings are in order of ids, and an id with another
    /// first character would come before all others. Peers that registered before this rule keep
    /// their place.
    pub fn parse_new(
        text: &str,
        field: &'static str,
        limits: &Limits,
    ) -> Result<Self, RequestError> {
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        match Self::parse(text, field, limits) {
            Ok(id) if begins_well => Ok(id),
            _ => Err(RequestError::invalid(field, &Self::new_form(limits))),
        }
    }

    /// Returns the usual form of a libp2p id that is spelled as a CID (libp2p specification,
    /// `peer-ids/peer-ids.md`): the multihash of the key in base58. `None` for any other text. Both
    /// spellings name the same peer.
    pub fn canonical(text: &str) -> Option<String> {
        /// The multicodec of a libp2p key.
        const LIBP2P_KEY: u64 = 0x72;
        /// The max length of a CID of an id with 64 bytes of hash, in base 8, and in base 2.
        const MAX_CID_CHARS: usize = 200;
        const MAX_BINARY_CHARS: usize = 600;
        /// What a CID begins with, by its base. The usual form of an id begins with 1 or Q.
        const BASES: &str = "79bBcCfFhkKmMtTuUvVzZ";
        let is_short = match text.bytes().next() {
            Some(b'0') => text.len() <= MAX_BINARY_CHARS,
            _ => text.starts_with(|base| BASES.contains(base)) && text.len() <= MAX_CID_CHARS,
        };
        if !is_short || text.len() < 40 {
            return None;
        }
        // Not `Cid::from_str`, which skips everything before "/ipfs/".
        let (_, bytes) = multibase::decode(text).ok()?;
        let cid = Cid::try_from(bytes.as_slice()).ok()?;
        let is_key = cid.version() == cid::Version::V1 && cid.codec() == LIBP2P_KEY;
        // The parser ignores bytes after the hash.
        let is_whole = cid.to_bytes() == bytes;
        (is_key && is_whole).then(|| bs58::encode(cid.hash().to_bytes()).into_string())
    }

    /// Whether `text` has the form of a peer id.
    pub fn is_well_formed(text: &str, limits: &Limits) -> bool {
        (1..=limits.peer_id_chars).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    }

    /// The allowed form in words.
    pub(crate) fn form(limits: &Limits) -> String {
        format!(
            "a string of 1 to {} characters of A-Z, a-z, 0-9, '.', '_' and '-', e.g. a libp2p id in base58",
            limits.peer_id_chars
        )
    }

    /// The allowed form of a new id in words.
    pub(crate) fn new_form(limits: &Limits) -> String {
        format!("{}, beginning with a letter or digit", Self::form(limits))
    }

    /// Takes an id that is known to be well-formed: checked when it was stored, or made here.
    #[cfg(any(feature = "server", feature = "agent"))]
    pub(crate) fn from_trusted(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// No id: the empty text, which is not a peer id.
impl Default for PeerId {
    fn default() -> Self {
        Self("".into())
    }
}

impl FromStr for PeerId {
    type Err = RequestError;

    /// Parses `text` by the default limits.
    fn from_str(text: &str) -> Result<Self, RequestError> {
        Self::parse(text, "peerId", &Limits::default())
    }
}

impl Borrow<str> for PeerId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, "peerId", &Limits::default()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use cid::multibase::Base;

    use super::*;

    #[test]
    fn peer_id_takes_its_alphabet_and_its_length_only() {
        let limits = Limits::default();
        let longest = "x".repeat(128);
        for good in ["a", "12D3KooW.-_9", longest.as_str()] {
            assert!(PeerId::parse(good, "peerId", &limits).is_ok(), "{good}");
        }
        let too_long = "x".repeat(129);
        for bad in ["", " a", "a b", "ä", "a/b", "a\n", too_long.as_str()] {
            let error = PeerId::parse(bad, "peerId", &limits).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("peerId"), "{bad:?}");
            assert!(error.message.contains("1 to 128"), "{}", error.message);
        }
    }

    #[test]
    fn a_new_peer_id_begins_with_a_letter_or_digit() {
        let limits = Limits::default();
        for good in ["a", "Z", "0", "9-._"] {
            assert!(PeerId::parse_new(good, "peerId", &limits).is_ok(), "{good}");
        }
        for bad in ["-a", ".a", "_a", "-", "", "ä"] {
            let error = PeerId::parse_new(bad, "peerId", &limits).unwrap_err();
            assert!(error.message.contains("letter or digit"), "{bad:?}");
        }
        assert!(PeerId::parse("-a", "peerId", &limits).is_ok());
    }

    #[test]
    fn a_libp2p_id_spelled_as_a_cid_is_the_same_peer() {
        // The example of the libp2p specification, and an Ed25519 id in all bases but those with other
        // characters than ASCII letters and digits.
        let limits = Limits::default();
        let rsa = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe";
        let parse = |text: &str| PeerId::parse_new(text, "peerId", &limits).unwrap();
        assert_eq!(
            parse(rsa).as_str(),
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
        );
        let usual = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
        let hash = bs58::decode(usual).into_vec().unwrap();
        let cid = Cid::new_v1(0x72, cid::multihash::Multihash::from_bytes(&hash).unwrap());
        for base in [
            Base::Base2,
            Base::Base8,
            Base::Base10,
            Base::Base16Lower,
            Base::Base16Upper,
            Base::Base32Lower,
            Base::Base32Upper,
            Base::Base32PadLower,
            Base::Base32PadUpper,
            Base::Base32HexLower,
            Base::Base32HexUpper,
            Base::Base32HexPadLower,
            Base::Base32HexPadUpper,
            Base::Base32Z,
            Base::Base36Lower,
            Base::Base36Upper,
            Base::Base58Btc,
            Base::Base58Flickr,
            Base::Base64,
            Base::Base64Pad,
            Base::Base64Url,
            Base::Base64UrlPad,
        ] {
            let text = cid.to_string_of_base(base).unwrap();
            assert_eq!(parse(&text).as_str(), usual, "{text}");
            assert_eq!(
                PeerId::parse(&text, "peerId", &limits).unwrap().as_str(),
                usual
            );
        }
        for other in [
            usual,
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "b",
            &format!("b198.51.100.7/ipfs/{rsa}"),
            &multibase::encode(Base::Base32Lower, [&cid.to_bytes()[..], b"more"].concat()),
            &multibase::encode(
                Base::Base16Lower,
                [&[1, 0x72, 0x12, 0x20][..], &[7; 31]].concat(),
            ),
        ] {
            assert_eq!(PeerId::canonical(other), None, "{other}");
        }
        let short = Limits {
            peer_id_chars: 50,
            ..limits
        };
        assert!(PeerId::parse(rsa, "peerId", &short).is_ok());
        assert!(PeerId::parse(&cid.to_string(), "peerId", &short).is_err());
    }
}
