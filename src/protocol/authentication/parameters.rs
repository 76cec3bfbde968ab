//! The parameters of the scheme in the headers `WWW-Authenticate`, `Authorization` and
//! `Authentication-Info`.

use std::fmt;

use enum_map::{Enum, EnumMap};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::base64url;
use super::scheme::SCHEME;

/// The name of a parameter (specification, "Parameters"). Names are not case-sensitive (RFC 9110,
/// 11.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Enum, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case", ascii_case_insensitive)]
pub enum ParameterName {
    /// The challenge of the server, which the client signs.
    ChallengeClient,
    /// The challenge of the client, which the server signs.
    ChallengeServer,
    /// The public key of the sender, as base64url of libp2p's protobuf encoding.
    PublicKey,
    /// The signature of the sender, as base64url.
    Sig,
    /// What the server must get back to continue the handshake.
    Opaque,
    /// The token that proves the client without a handshake.
    Bearer,
    /// The end of the token in RFC 3339. It is only a hint.
    Expires,
}

/// The parameters in one header.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(EnumMap<ParameterName, Option<String>>);

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter, whose value must be printable ASCII: other characters are left out when it is
    /// written.
    #[must_use]
    pub fn with(mut self, name: ParameterName, value: impl Into<String>) -> Self {
        self.0[name] = Some(value.into());
        self
    }

    /// Adds a parameter with these bytes as base64url.
    #[must_use]
    pub fn with_bytes(self, name: ParameterName, bytes: impl AsRef<[u8]>) -> Self {
        self.with(name, base64url::encode(bytes))
    }

    /// Adds the parameter that was read from a header. Returns `false` if it is already here.
    pub(crate) fn insert(&mut self, name: ParameterName, value: String) -> bool {
        self.0[name].replace(value).is_none()
    }

    /// The value of a parameter; `None` if the header lacks it.
    pub fn get(&self, name: ParameterName) -> Option<&str> {
        self.0[name].as_deref()
    }
}

/// Writes the value of the header: the scheme, and each value as a quoted string.
impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        let given = self.0.iter();
        let given = given.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in given.enumerate() {
            let separator = if index == 0 { " " } else { ", " };
            write!(f, "{separator}{name}=\"")?;
            for c in value.chars().filter(|c| matches!(c, ' '..='~')) {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// Names the parameters only: a value can be a token.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.0.iter().filter(|(_, value)| value.is_some());
        f.debug_set().entries(given.map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_as_quoted_strings_after_the_scheme() {
        let parameters = Parameters::new()
            .with_bytes(ParameterName::Sig, [0xfb, 0xff])
            .with(ParameterName::ChallengeClient, "a\\b\"c");
        assert_eq!(
            parameters.to_string(),
            r#"libp2p-PeerID challenge-client="a\\b\"c", sig="-_8=""#
        );
        assert_eq!(Parameters::new().to_string(), "libp2p-PeerID");
    }

    #[test]
    fn no_value_ends_the_header_early() {
        let parameters = Parameters::new().with(ParameterName::Opaque, "a\r\nSet-Cookie: b\0ä");
        assert_eq!(
            parameters.to_string(),
            r#"libp2p-PeerID opaque="aSet-Cookie: b""#
        );
    }

    #[test]
    fn a_token_is_not_in_the_debug_output() {
        let parameters = Parameters::new().with(ParameterName::Bearer, "secret");
        assert_eq!(format!("{parameters:?}"), "{Bearer}");
    }
}
