//! Bytes as text (specification, "Base64 Encoding").

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Writes padding, which implementations in Go and JavaScript require, and reads text with or without it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns `bytes` as base64url with padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL.encode(bytes)
}

/// Returns the bytes of `text`; `None` if it is not base64url.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_and_without_padding_is_read_and_padding_is_written() {
        assert_eq!(encode([0xfb, 0xff]), "-_8=");
        assert_eq!(decode("-_8="), Some(vec![0xfb, 0xff]));
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
    }

    #[test]
    fn other_text_is_not_read() {
        for text in ["+/8=", "-_9", "-_8==", "-", "-_ 8", "-=_8", "ä"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
