//! The token that proves a client without a handshake (specification, "libp2p bearer token").

use super::ids::KeyNames;
use super::key_types::{KeyType, KeyTypes};
use super::sealed::{Fields, Kind, SealFault, SealingKeys, VERSION, host_hash};

/// What a server remembers of a finished handshake.
///
/// A token has about 200 characters, so a header with it is far below the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The time of the handshake, in Unix milliseconds.
    pub(crate) issued_at_ms: i64,
    /// The end of the token, in Unix milliseconds.
    pub(crate) expires_at_ms: i64,
    /// The name by which the client called the server, as [`host_hash`] has it.
    pub(crate) host: [u8; 16],
    /// The kind of the client's key.
    pub(crate) kind: KeyType,
    /// The names of the client's key. The key itself can be too long for a header.
    pub(crate) names: KeyNames,
}

impl Token {
    /// Seals the token for the client.
    pub(crate) fn seal(&self, keys: &SealingKeys) -> String {
        let mut content = vec![VERSION, self.kind.code()];
        content.extend_from_slice(&self.issued_at_ms.to_be_bytes());
        content.extend_from_slice(&self.expires_at_ms.to_be_bytes());
        content.extend_from_slice(&self.host);
        content.extend_from_slice(&self.names.spki_sha256());
        content.extend_from_slice(&self.names.crypto_ipv6().octets());
        content.extend_from_slice(self.names.peer_id().as_str().as_bytes());
        keys.seal(Kind::Token, content)
    }

    /// Opens a token that a client sent under the name `host` at `now_ms`, in Unix milliseconds.
    ///
    /// `max_age_ms` is the life of tokens by the settings of now, so that a shorter one also holds for older
    /// tokens.
    ///
    /// # Errors
    /// A [`SealFault`] if this server did not seal it, for this host, a time not over yet, and a key of the
    /// kinds `allowed`.
    pub(crate) fn open(
        text: &str,
        keys: &SealingKeys,
        host: &str,
        now_ms: i64,
        max_age_ms: i64,
        allowed: KeyTypes,
    ) -> Result<Self, SealFault> {
        let content = keys.open(Kind::Token, text).ok_or(SealFault::NotOurs)?;
        let mut token = Self::read(&content).ok_or(SealFault::NotOurs)?;
        let max_end_ms = token.issued_at_ms.saturating_add(max_age_ms);
        token.expires_at_ms = token.expires_at_ms.min(max_end_ms);
        if now_ms >= token.expires_at_ms {
            return Err(SealFault::Expired);
        }
        if token.host != host_hash(host) {
            return Err(SealFault::OtherHost);
        }
        if !allowed.allows(token.kind) {
            return Err(SealFault::TypeNotAllowed);
        }
        Ok(token)
    }

    fn read(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let [version, kind] = fields.bytes()?;
        let (issued_at_ms, expires_at_ms) = (fields.time_ms()?, fields.time_ms()?);
        let host = fields.bytes()?;
        let (spki_sha256, crypto_ipv6) = (fields.bytes()?, fields.bytes()?);
        let peer_id = std::str::from_utf8(fields.0).ok()?;
        let token = Self {
            issued_at_ms,
            expires_at_ms,
            host,
            kind: KeyType::from_code(kind)?,
            names: KeyNames::from_token(peer_id, spki_sha256, crypto_ipv6),
        };
        (version == VERSION && !peer_id.is_empty()).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;
    use crate::protocol::authentication::sealed::SealingKey;

    const HOST: &str = "example.com";

    fn keys() -> SealingKeys {
        SealingKeys::new(SealingKey::new(&[1; 32]), None)
    }

    fn token(kind: KeyType) -> Token {
        Token {
            issued_at_ms: 500,
            expires_at_ms: 1_000,
            host: host_hash(HOST),
            kind,
            names: KeyNames::of(&Keypair::generate_ed25519().public()),
        }
    }

    fn open(sealed: &str, host: &str, now_ms: i64, max_age_ms: i64) -> Result<Token, SealFault> {
        let allowed = KeyTypes::default();
        Token::open(sealed, &keys(), host, now_ms, max_age_ms, allowed)
    }

    #[test]
    fn a_sealed_token_is_opened_as_it_was_and_fits_into_a_header() {
        let token = token(KeyType::Ed25519);
        let sealed = token.seal(&keys());
        assert_eq!(open(&sealed, "EXAMPLE.com", 999, 500), Ok(token));
        assert_eq!(sealed.len(), 200);
        assert!(
            !sealed.contains([' ', ',', '"', '\\', '+', '/']),
            "{sealed}"
        );
    }

    #[test]
    fn a_token_ends_with_its_time_or_with_a_shorter_setting() {
        let sealed = token(KeyType::Ed25519).seal(&keys());
        assert_eq!(open(&sealed, HOST, 1_000, 500), Err(SealFault::Expired));
        assert_eq!(open(&sealed, HOST, 1_000, 5_000), Err(SealFault::Expired));
        assert_eq!(open(&sealed, HOST, 600, 100), Err(SealFault::Expired));
        assert_eq!(open(&sealed, HOST, 599, 100).unwrap().expires_at_ms, 600);
    }

    #[test]
    fn a_token_is_for_its_host_and_an_allowed_kind_only() {
        let sealed = token(KeyType::Ed25519).seal(&keys());
        assert_eq!(
            open(&sealed, "example.org", 600, 500),
            Err(SealFault::OtherHost)
        );
        let rsa = token(KeyType::Rsa).seal(&keys());
        assert_eq!(open(&rsa, HOST, 600, 500), Err(SealFault::TypeNotAllowed));
    }

    #[test]
    fn content_of_another_version_or_length_is_refused() {
        let fields_len = 2 + 8 + 8 + 16 + 32 + 16;
        for content in [
            vec![],
            vec![VERSION, 1],
            [&[VERSION, 1][..], &vec![b'a'; fields_len - 3]].concat(),
            [&[VERSION, 1][..], &vec![b'a'; fields_len - 2]].concat(),
            [&[VERSION, 9][..], &vec![b'a'; fields_len]].concat(),
            [&[VERSION + 1, 1][..], &vec![b'a'; fields_len]].concat(),
            [&[VERSION, 1][..], &vec![0xff; fields_len]].concat(),
        ] {
            let sealed = keys().seal(Kind::Token, content);
            let refused = open(&sealed, HOST, i64::MIN, 500);
            assert_eq!(refused, Err(SealFault::NotOurs));
        }
    }
}
