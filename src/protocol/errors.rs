//! The one error shape and its closed list of codes.

use std::borrow::Cow;

use enum_map::Enum;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// The stable word that says what kind of error a response carries.
#[derive(
    Clone,
    Copy,
    Debug,
    Display,
    IntoStaticStr,
    PartialEq,
    Eq,
    Hash,
    Enum,
    VariantArray,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorCode {
    /// The body is not one well-formed JSON object.
    InvalidJson,
    /// A required field is absent or null.
    MissingField,
    /// A field or query parameter has the wrong type, length or form.
    InvalidField,
    /// An address would reveal more than the registry's address policy allows.
    PrivacyViolation,
    /// The id of the peer belongs to a key, and the request does not prove that it holds the key.
    AuthenticationRequired,
    /// The header with the proof is wrong, or has expired.
    InvalidAuthentication,
    /// The header with the proof calls the registry by a name that its operator did not declare.
    UnknownHost,
    /// The proof is of another peer than the one that the request is about.
    IdentityMismatch,
    /// A web page of another site writes to a registry on localhost.
    ForeignOrigin,
    /// No registration is known for the peer.
    PeerNotFound,
    /// No such path.
    NotFound,
    /// The path exists, but does not allow this method.
    MethodNotAllowed,
    /// What was sent is not well-formed HTTP/1.1.
    InvalidHttp,
    /// The head or the body did not arrive in time.
    RequestTimeout,
    /// The body is larger than the registry accepts.
    PayloadTooLarge,
    /// The head of the request is larger than the registry accepts.
    HeadTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The peer allocates too often, or too many wrong admin tokens were sent. Never sent to a
    /// registration, a heartbeat or a listing.
    Throttled,
    /// The registry has too much work in flight.
    Overloaded,
    /// The database takes no writes, or the registry is stuck.
    StorageUnavailable,
    /// The registry still reads its database.
    Starting,
    /// The max number of peers, or their max memory, is reached.
    RegistryFull,
    /// The operator's token is missing or wrong.
    Unauthorized,
    /// The peer holds no such TURN session, or it has ended.
    SessionNotFound,
    /// No TURN server has room for another session.
    NoTurnServer,
    /// The peer must try a direct connection before it asks for a relay.
    AttemptP2pFirst,
    /// The peer holds the max number of TURN sessions of its tier.
    SessionLimit,
    /// The peer holds the max share of the granted bandwidth.
    BandwidthShare,
    /// Only premium peers are relayed in this mode.
    PremiumOnly,
    /// The max number of live premium sessions in this mode is reached.
    PremiumSessionLimit,
    /// Only live premium sessions are renewed in this mode.
    RenewalsOnly,
    /// Nothing is relayed until the budget allows it again.
    RelayShutdown,
    /// A fault of the registry.
    Internal,
}

impl ErrorCode {
    /// All codes.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The code on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The body of every response that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A sentence that names the field and the allowed form.
    pub error: String,
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What the client can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The field or query parameter at fault, in its wire spelling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A request that breaks the contract, with the parts of the error response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// What kind of error it is: one of the codes for a fault in a request.
    pub code: ErrorCode,
    /// The sentence for the client.
    pub message: String,
    /// The field at fault, if it is one field's fault.
    pub field: Option<Cow<'static, str>>,
}

impl RequestError {
    /// The body as a whole is not what it should be.
    pub fn invalid_json(message: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::InvalidJson,
            message: message.into(),
            field: None,
        }
    }

    /// `field` is required and absent; `form` says what it should hold.
    pub fn missing(field: &'static str, form: &str) -> Self {
        Self {
            code: ErrorCode::MissingField,
            message: format!("{field} is required: {form}"),
            field: Some(field.into()),
        }
    }

    /// `field` is present and wrong; `form` says what it must be.
    pub fn invalid(field: impl Into<Cow<'static, str>>, form: &str) -> Self {
        let field = field.into();
        Self {
            code: ErrorCode::InvalidField,
            message: format!("{field} must be {form}"),
            field: Some(field),
        }
    }

    /// `field` would reveal more than the address policy allows.
    pub fn privacy(field: impl Into<Cow<'static, str>>, form: &str) -> Self {
        Self {
            code: ErrorCode::PrivacyViolation,
            ..Self::invalid(field, form)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_spelled_the_same_in_texts_and_in_json() {
        for code in ErrorCode::ALL {
            let quoted = serde_json::to_string(code).unwrap();
            assert_eq!(quoted, format!("\"{code}\""));
        }
    }
}
