//! Which addresses are stored and listed.

use std::str::FromStr;

/// Which addresses the registry stores and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Only multiaddrs under the peer's own crypto-IPv6; nothing that tells where the peer is.
    CryptoIpv6,
    /// Any printable text without blanks.
    Any,
}

impl AddressPolicy {
    /// The spelling of the setting `ADDRESS_POLICY`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CryptoIpv6 => "crypto-ipv6",
            Self::Any => "any",
        }
    }
}

impl FromStr for AddressPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::CryptoIpv6, Self::Any]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(())
    }
}
