//! Decompresses request bodies, within bounds.

use std::io::{ErrorKind, Read};

use actix_web::web::Bytes;
use flate2::bufread::GzDecoder;

use super::budget::{Charge, SMALL_BYTES};
use super::errors::ApiError;
use crate::protocol::RequestError;
use crate::server::registry::RegistryError;

/// The bytes that are decompressed at a time.
const STEP_BYTES: usize = 8 << 10;

/// Decompresses a gzip body of one member. It stops as soon as the result is longer than
/// `max_bytes`, and charges both the body and the result.
pub(crate) fn gunzip(
    body: &Bytes,
    max_bytes: usize,
    charge: &mut Charge,
) -> Result<Bytes, ApiError> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let mut decoder = GzDecoder::new(&body[..]);
    let mut plain = Vec::new();
    let mut step = [0; STEP_BYTES];
    loop {
        let length = decoder.read(&mut step).map_err(|error| broken(&error))?;
        if length == 0 {
            break;
        }
        if plain.len() + length > max_bytes {
            return Err(ApiError::InflatedTooLarge { max_bytes });
        }
        let held_bytes = body.len() + plain.len() + length;
        if held_bytes > SMALL_BYTES {
            charge
                .raise_to(held_bytes)
                .map_err(|_| RegistryError::Overloaded)?;
        }
        plain.extend_from_slice(&step[..length]);
    }
    // Only one member is read: the state of the decoder is made anew for each, so that many empty
    // ones would take a long time.
    if !decoder.into_inner().is_empty() {
        return Err(
            RequestError::invalid_json("something follows the gzip data of the body").into(),
        );
    }
    Ok(plain.into())
}

fn broken(error: &std::io::Error) -> ApiError {
    let message = match error.kind() {
        ErrorKind::UnexpectedEof => "the gzip data of the body ends in the middle".to_owned(),
        _ => format!("the body is not gzip, as the header Content-Encoding says: {error}"),
    };
    RequestError::invalid_json(message).into()
}
