//! Which addresses are stored and listed.

use strum::{Display, EnumString};

/// Which addresses the registry stores and lists, as `ADDRESS_POLICY` spells it.
#[derive(Clone, Copy, Debug, Display, EnumString, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub enum AddressPolicy {
    /// Only multiaddrs under the peer's own crypto-IPv6; nothing that reveals where the peer is.
    CryptoIpv6,
    /// Any printable text without blanks.
    Any,
}

/// Whether addresses of private networks are listed under the policy `any`, as `PRIVATE_ADDRESSES`
/// spells it.
#[derive(Clone, Copy, Debug, Display, EnumString, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub enum PrivateAddresses {
    /// They are left out: who dials them reaches a stranger in its own network.
    Drop,
    /// They are listed, for registries inside such a network.
    List,
}
