//! The kinds of keys, and which of them are allowed.

use enum_map::{Enum, EnumMap};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// A kind of keys (libp2p/specs, `peer-ids/peer-ids.md`, "Key Types").
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Enum, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum KeyType {
    /// Ed25519, the usual kind.
    Ed25519,
    /// ECDSA on the curve secp256k1; needs the feature `secp256k1`.
    Secp256k1,
    /// ECDSA on the curve P-256; needs the feature `ecdsa`.
    Ecdsa,
    /// RSA of 2,048 to 8,192 bits; needs the feature `rsa`.
    Rsa,
}

impl KeyType {
    /// Whether this build can verify signatures of such keys.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Ed25519 => true,
            Self::Secp256k1 => cfg!(feature = "secp256k1"),
            Self::Ecdsa => cfg!(feature = "ecdsa"),
            Self::Rsa => cfg!(feature = "rsa"),
        }
    }

    /// The number of the kind in libp2p's protobuf encoding.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Rsa => 0,
            Self::Ed25519 => 1,
            Self::Secp256k1 => 2,
            Self::Ecdsa => 3,
        }
    }

    /// The kind with this number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let mut kinds = Self::VARIANTS.iter().copied();
        kinds.find(|kind| kind.code() == code)
    }

    /// The kind of a key in libp2p's protobuf encoding, in which it is the first field.
    pub(crate) fn of_protobuf(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x08, code, ..] => Self::from_code(*code),
            _ => None,
        }
    }
}

/// A set of kinds of keys. By default it has Ed25519 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTypes(EnumMap<KeyType, bool>);

impl KeyTypes {
    /// All kinds that this build supports.
    pub fn supported() -> Self {
        let all = KeyType::VARIANTS.iter().copied();
        all.filter(|kind| kind.is_supported()).collect()
    }

    /// Whether keys of this kind are allowed.
    pub fn allows(&self, kind: KeyType) -> bool {
        self.0[kind]
    }
}

impl Default for KeyTypes {
    fn default() -> Self {
        Self::from_iter([KeyType::Ed25519])
    }
}

impl FromIterator<KeyType> for KeyTypes {
    fn from_iter<I: IntoIterator<Item = KeyType>>(kinds: I) -> Self {
        let mut allowed = EnumMap::default();
        for kind in kinds {
            allowed[kind] = true;
        }
        Self(allowed)
    }
}
