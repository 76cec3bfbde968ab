//! Ids of peers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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
        if Self::is_well_formed(text, limits) {
            Ok(Self(text.into()))
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
        if begins_well && Self::is_well_formed(text, limits) {
            Ok(Self(text.into()))
        } else {
            Err(RequestError::invalid(field, &Self::new_form(limits)))
        }
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
            "a string of 1 to {} characters of A-Z, a-z, 0-9, '.', '_' and '-'",
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
}
