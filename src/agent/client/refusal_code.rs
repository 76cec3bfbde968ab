//! The code of a refusal, as the registry sent it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::ErrorCode;

/// The code of a refusal, as the registry sent it. A newer registry may send one that is unknown here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RefusalCode {
    /// A code that this version knows.
    Known(ErrorCode),
    /// The code of a newer registry.
    Newer(String),
}

impl RefusalCode {
    /// The code on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Newer(code) => code,
        }
    }
}

impl From<ErrorCode> for RefusalCode {
    fn from(code: ErrorCode) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<ErrorCode> for RefusalCode {
    fn eq(&self, code: &ErrorCode) -> bool {
        *self == Self::Known(*code)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_and_read_as_it_came() {
        for (code, json) in [
            (
                RefusalCode::Known(ErrorCode::RegistryFull),
                "\"registry_full\"",
            ),
            (RefusalCode::Newer("bad_moon".to_owned()), "\"bad_moon\""),
        ] {
            assert_eq!(serde_json::to_string(&code).unwrap(), json);
            assert_eq!(serde_json::from_str::<RefusalCode>(json).unwrap(), code);
            assert_eq!(format!("\"{code}\""), json);
        }
    }
}
