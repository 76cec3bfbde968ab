//! What a proven key says about a registration.

use std::net::Ipv6Addr;

use crate::protocol::{RegisterRequest, RequestError};

/// Binds the crypto-IPv6 of a registration to the key that its sender has proven: `derived` is the
/// address of the key. Fills it in if there is none.
///
/// # Errors
/// `privacy_violation` for another address, since it belongs to another key.
pub(crate) fn bind_crypto_ipv6(
    request: &mut RegisterRequest,
    derived: Ipv6Addr,
) -> Result<(), RequestError> {
    match &request.crypto_ipv6 {
        None => request.crypto_ipv6 = Some(derived.to_string()),
        Some(text) if text.parse() == Ok(derived) => {}
        Some(_) => {
            let form = format!("the address of the key that was proven, {derived}");
            return Err(RequestError::privacy("cryptoIPv6", &form));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Announced, ErrorCode, Limits, RequestBody};

    fn request(fields: &str) -> RegisterRequest {
        let body = format!("{{\"peerId\":\"abc\"{fields}}}");
        let parsed = Announced::<RegisterRequest>::parse(body.as_bytes(), &Limits::default());
        parsed.unwrap().request
    }

    fn bound(fields: &str) -> Result<Option<String>, RequestError> {
        let mut request = request(fields);
        bind_crypto_ipv6(&mut request, "fd00:1:2::9".parse().unwrap())?;
        Ok(request.crypto_ipv6)
    }

    #[test]
    fn the_address_of_the_key_is_filled_in_and_another_is_refused() {
        assert_eq!(bound("").unwrap().as_deref(), Some("fd00:1:2::9"));
        // In the spelling of the peer.
        let spelled = bound(",\"cryptoIPv6\":\"FD00:1:2:0::9\"").unwrap();
        assert_eq!(spelled.as_deref(), Some("FD00:1:2:0::9"));
        for other in ["fd00:1:2::8", "fd00:test:1", "::"] {
            let error = bound(&format!(",\"cryptoIPv6\":\"{other}\"")).unwrap_err();
            assert_eq!(error.code, ErrorCode::PrivacyViolation, "{other}");
        }
    }
}
