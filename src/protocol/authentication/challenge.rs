//! The state of a handshake, which the client keeps in `opaque` between two requests.

use super::base64url;
use super::scheme::CHALLENGE_BYTES;
use super::sealed::{Fields, Kind, SealFault, SealingKeys, VERSION, host_hash};

/// What a server must remember of a challenge that it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The end of the challenge, in Unix milliseconds.
    pub(crate) expires_at_ms: i64,
    /// The name by which the client called the server, as [`host_hash`] has it.
    pub(crate) host: [u8; 16],
    /// What the client must sign, before it is text.
    pub(crate) random: [u8; CHALLENGE_BYTES],
    /// The client's key in libp2p's protobuf encoding, if the client sent it with its own challenge. It
    /// does not send it again.
    pub(crate) client_key: Option<Vec<u8>>,
}

impl Challenge {
    /// The challenge as the client gets it, and signs it.
    pub(crate) fn text(&self) -> String {
        base64url::encode(self.random)
    }

    /// Seals the challenge for the client.
    pub(crate) fn seal(&self, keys: &SealingKeys) -> String {
        let mut content = vec![VERSION];
        content.extend_from_slice(&self.expires_at_ms.to_be_bytes());
        content.extend_from_slice(&self.host);
        content.extend_from_slice(&self.random);
        content.extend_from_slice(self.client_key.as_deref().unwrap_or_default());
        keys.seal(Kind::Challenge, content)
    }

    /// Opens a challenge that a client returned under the name `host` at `now_ms`, in Unix milliseconds.
    ///
    /// # Errors
    /// A [`SealFault`] if this server did not seal it, for this host and a time not over yet.
    pub(crate) fn open(
        text: &str,
        keys: &SealingKeys,
        host: &str,
        now_ms: i64,
    ) -> Result<Self, SealFault> {
        let content = keys.open(Kind::Challenge, text).ok_or(SealFault::NotOurs)?;
        let challenge = Self::read(&content).ok_or(SealFault::NotOurs)?;
        if now_ms >= challenge.expires_at_ms {
            return Err(SealFault::Expired);
        }
        if challenge.host != host_hash(host) {
            return Err(SealFault::OtherHost);
        }
        Ok(challenge)
    }

    fn read(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let [version] = fields.bytes()?;
        let challenge = Self {
            expires_at_ms: fields.time_ms()?,
            host: fields.bytes()?,
            random: fields.bytes()?,
            client_key: Some(fields.0.to_vec()).filter(|key| !key.is_empty()),
        };
        (version == VERSION).then_some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::authentication::sealed::SealingKey;

    fn keys() -> SealingKeys {
        SealingKeys::new(SealingKey::new(&[1; 32]), None)
    }

    fn challenge(client_key: Option<Vec<u8>>) -> Challenge {
        Challenge {
            expires_at_ms: 1_000,
            host: host_hash("example.com:8080"),
            random: [7; CHALLENGE_BYTES],
            client_key,
        }
    }

    #[test]
    fn a_sealed_challenge_is_opened_as_it_was() {
        for key in [None, Some(vec![8, 1, 18, 32])] {
            let challenge = challenge(key);
            let sealed = challenge.seal(&keys());
            let opened = Challenge::open(&sealed, &keys(), "Example.COM:8080", 999);
            assert_eq!(opened, Ok(challenge));
        }
    }

    #[test]
    fn a_challenge_ends_with_its_time_and_is_for_its_host_only() {
        let sealed = challenge(None).seal(&keys());
        let open = |host, now_ms| Challenge::open(&sealed, &keys(), host, now_ms);
        assert_eq!(open("example.com:8080", 1_000), Err(SealFault::Expired));
        for host in ["example.com", "example.com:8081", "example.org:8080", ""] {
            assert_eq!(open(host, 0), Err(SealFault::OtherHost), "{host}");
        }
    }

    #[test]
    fn content_of_another_version_or_length_is_refused() {
        for content in [
            vec![],
            vec![VERSION],
            vec![VERSION; 8 + 16 + CHALLENGE_BYTES],
            vec![VERSION + 1; 1 + 8 + 16 + CHALLENGE_BYTES],
        ] {
            let sealed = keys().seal(Kind::Challenge, content);
            let refused = Challenge::open(&sealed, &keys(), "example.com", 0);
            assert_eq!(refused, Err(SealFault::NotOurs));
        }
    }
}
