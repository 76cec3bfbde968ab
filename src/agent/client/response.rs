//! Decides what a response means: the expected value, a refusal, or not a registry at all.

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::refusal_code::RefusalCode;
use super::sanitize::{self, shown};
use super::stranger;
use super::transport::Response;
use crate::protocol::{ErrorBody, ErrorCode, PeerId};

/// Reads the value out of a 200; anything else is an error. `base` is the registry's address, and
/// `url` the one that was requested.
pub(crate) fn read<T: DeserializeOwned>(
    base: &Url,
    url: &Url,
    response: Response,
) -> Result<T, ClientError> {
    let mut fault = None;
    if response.status == 200 {
        match serde_json::from_slice(&response.body) {
            Ok(value) => return Ok(value),
            // The error message may quote a part of the body.
            Err(error) if !stranger::is_page(&response.body) => {
                fault = Some(sanitize::sanitize(&error.to_string()));
            }
            Err(_) => {}
        }
    } else if let Some((code, body)) = error_body(response.status, &response.body) {
        return Err(ClientError::Refused {
            url: shown(url),
            status: response.status,
            code,
            body: Box::new(sanitize::sanitize_error(body)),
            retry_after: response.retry_after,
        });
    }
    let meaning = stranger::meaning(base, url, &response);
    Err(ClientError::NotARegistry {
        url: shown(url),
        status: response.status,
        reason: match fault {
            Some(fault) => format!("{} ({fault})", meaning.reason),
            None => meaning.reason,
        },
        moved_to: meaning.moved_to,
        location: response.location.as_deref().map(sanitize::sanitize),
        retry_after: response.retry_after,
    })
}

/// Reads a body in the error format of the protocol.
///
/// A newer registry may send an error code that is unknown here. Then the status decides on the
/// code in the body.
fn error_body(status: u16, json: &[u8]) -> Option<(RefusalCode, ErrorBody)> {
    #[derive(Deserialize)]
    struct NewerError {
        error: String,
        code: String,
        suggestion: Option<String>,
        field: Option<String>,
    }
    if let Ok(body) = serde_json::from_slice::<ErrorBody>(json) {
        return Some((body.code.into(), body));
    }
    let newer: NewerError = serde_json::from_slice(json).ok()?;
    let body = ErrorBody {
        error: newer.error,
        code: match status {
            400 => ErrorCode::InvalidField,
            401 | 403 => ErrorCode::Unauthorized,
            429 => ErrorCode::Throttled,
            503 => ErrorCode::Overloaded,
            _ => ErrorCode::Internal,
        },
        suggestion: newer.suggestion,
        field: newer.field,
    };
    Some((RefusalCode::Newer(sanitize::sanitize(&newer.code)), body))
}

/// Checks that a 200 confirms the peer of the request: any server may send a 200 with any body.
pub(crate) fn check_confirms(
    url: &Url,
    success: bool,
    confirmed: &PeerId,
    requested: &PeerId,
) -> Result<(), ClientError> {
    if success && confirmed == requested {
        return Ok(());
    }
    Err(ClientError::NotARegistry {
        url: shown(url),
        status: 200,
        reason: format!("its body does not confirm the peer {requested}"),
        location: None,
        moved_to: None,
        retry_after: None,
    })
}
