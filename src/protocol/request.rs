//! What all request bodies have in common.

use super::errors::RequestError;
use super::limits::Limits;

/// The body of a request.
pub trait RequestBody: Sized {
    /// Parses the bytes of a body.
    ///
    /// # Errors
    /// `invalid_json`, `missing_field` or `invalid_field`, for the first fault found.
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError>;
}
