//! How peers prove their ids.

use std::str::FromStr;

use strum::{Display, EnumString};

use super::declaration::{Number, Text};
use super::reader::Reader;
use crate::protocol::authentication::{KeyType, KeyTypes, PublicHosts};

const AUTHENTICATION: Text = Text {
    name: "AUTHENTICATION",
    placeholder: "POLICY",
    default: Some("claim"),
    form: "claim, required or off",
    meaning: "Which writes must prove their peer's key: claim (those for ids that were proven before), \
              required (all) or off (none)",
};

const PUBLIC_HOSTS: Text = Text {
    name: "PUBLIC_HOSTS",
    placeholder: "HOST",
    default: None,
    form: "names by which clients call the registry, comma-separated, e.g. registry.example.org or \
           198.51.100.7:3000",
    meaning: "Names by which clients call the registry, comma-separated; if unset, the loopback names",
};

const TOKEN_TTL_SECS: Number<u64> = Number {
    name: "TOKEN_TTL_SECS",
    unit: "SECS",
    default: 86_400,
    range: 7_200..=30 * 86_400,
    meaning: "How long a proof is valid before a peer must prove its key again",
};

const KEY_TYPES: Text = Text {
    name: "KEY_TYPES",
    placeholder: "TYPE",
    default: Some("ed25519"),
    form: "types of keys that this build supports, comma-separated, e.g. ed25519",
    meaning: "Types of keys that peers may have, comma-separated",
};

const TURN_REQUIRES_AUTH: Text = Text {
    name: "TURN_REQUIRES_AUTH",
    placeholder: "BOOL",
    default: Some("false"),
    form: "true or false",
    meaning: "Whether TURN sessions are for proven peers only",
};

/// Which writes must prove that they come from the peer that they name, as `AUTHENTICATION` spells
/// it.
#[derive(Clone, Copy, Debug, Display, EnumString, PartialEq, Eq)]
#[strum(serialize_all = "kebab-case")]
pub enum AuthenticationPolicy {
    /// Those for ids that were proven before. Ids that were never proven work without a proof.
    Claim,
    /// All.
    Required,
    /// None: proofs are not even read, and ids that were proven before are free for anybody.
    Off,
}

/// Settings of proofs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthenticationConfig {
    /// The names by which clients call the registry (`PUBLIC_HOSTS`). A proof is bound to the name, so
    /// that no other server can use it here. `None` means the loopback names of the machine.
    pub public_hosts: Option<PublicHosts>,
    /// How long a proof is valid, in seconds (`TOKEN_TTL_SECS`).
    pub token_ttl_secs: u64,
    /// The types of keys that peers may have (`KEY_TYPES`).
    pub key_types: KeyTypes,
    /// Whether TURN sessions are for proven peers only (`TURN_REQUIRES_AUTH`).
    pub turn_requires_proof: bool,
}

struct HostList(PublicHosts);

impl FromStr for HostList {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        PublicHosts::parse(text.split(',')).map(Self).map_err(drop)
    }
}

struct TypeList(KeyTypes);

impl FromStr for TypeList {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let kinds = text.split(',').map(|name| {
            let kind: KeyType = name.trim().parse().map_err(drop)?;
            kind.is_supported().then_some(kind).ok_or(())
        });
        Ok(Self(kinds.collect::<Result<_, ()>>()?))
    }
}

impl AuthenticationConfig {
    /// Reads the policy and the other settings.
    pub(crate) fn read(settings: &mut Reader<'_>) -> (AuthenticationPolicy, Self) {
        let policy = settings.parse(&AUTHENTICATION);
        let public_hosts = settings.parse_optional::<HostList>(&PUBLIC_HOSTS);
        let token_ttl_secs = settings.whole(&TOKEN_TTL_SECS);
        let key_types = settings.parse::<TypeList>(&KEY_TYPES);
        let config = Self {
            public_hosts: public_hosts.map(|HostList(hosts)| hosts),
            token_ttl_secs,
            turn_requires_proof: settings.parse(&TURN_REQUIRES_AUTH).unwrap_or(false),
            key_types: key_types.map_or_else(KeyTypes::default, |TypeList(types)| types),
        };
        (policy.unwrap_or(AuthenticationPolicy::Claim), config)
    }
}
