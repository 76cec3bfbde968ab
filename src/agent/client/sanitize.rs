//! Makes text from outside safe to show.
//!
//! Text that a registry sends ends up in logs and terminals, where control characters, and marks
//! that reverse the direction of text, can do harm.

use std::error::Error;

use reqwest::Url;

use crate::protocol::{ErrorBody, ListedPeer, is_visible};

/// The maximum length of a sentence, in characters.
const MAX_CHARS: usize = 512;

/// Replaces control and invisible characters, and cuts text that is too long.
pub(crate) fn sanitize(text: &str) -> String {
    text.chars()
        .take(MAX_CHARS)
        .map(|c| match is_visible(c.encode_utf8(&mut [0; 4])) {
            true => c,
            false => '\u{fffd}',
        })
        .collect()
}

/// The message of an error and of all its causes: "cannot reach" alone does not help.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}

/// The address as errors and events show it: without user and password.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that cannot have a user and a password.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Hides what may be a user and a password in an address that is not valid.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(index) => url.split_at(index + 3),
        None => ("", url),
    };
    // A password may contain anything, even blanks, slashes and a part of an address.
    match rest.rfind('@') {
        Some(index) => format!("{scheme}***{}", &rest[index..]),
        None if looks_like_ipv6(rest) => url.to_owned(),
        // What looks like a port may be the part of a password before a comma.
        None => match rest.split_once(':') {
            Some((user, port)) if !port.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{scheme}{user}:***")
            }
            _ => url.to_owned(),
        },
    }
}

/// Whether this is a host like `::1` or `[::1]`, perhaps with a port, rather than a user and a password.
fn looks_like_ipv6(host: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    host.starts_with('[') || (host.contains("::") && host.chars().all(is_digit))
}

/// The error with all its text made safe to show.
pub(crate) fn sanitize_error(body: ErrorBody) -> ErrorBody {
    ErrorBody {
        error: sanitize(&body.error),
        code: body.code,
        suggestion: body.suggestion.as_deref().map(sanitize),
        field: body.field.as_deref().map(sanitize),
    }
}

/// Whether `text` is safe to show unchanged.
pub(crate) fn is_printable(text: &str) -> bool {
    is_visible(text)
}

/// Whether every short text of a peer is safe to show unchanged.
pub(crate) fn is_printable_peer(peer: &ListedPeer) -> bool {
    let texts = [&peer.crypto_ipv6, &peer.version, &peer.network_id];
    texts
        .into_iter()
        .flatten()
        .chain(&peer.addresses)
        .chain(peer.stores.iter().flatten())
        .all(|text| is_printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_possible_password_is_not_shown() {
        for (url, shown) in [
            ("htp://me:secret@host/a", "htp://***@host/a"),
            ("me:se/c@ret@host", "***@host"),
            ("https://me:secret", "https://me:***"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("ftp://host:21/a", "ftp://host:21/a"),
            ("http://::1:3102", "http://::1:3102"),
            ("http://[fe80::1%eth0]:1", "http://[fe80::1%eth0]:1"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn control_and_invisible_characters_are_replaced_and_long_text_is_cut() {
        assert_eq!(sanitize("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(sanitize("\u{202e}ab"), "\u{fffd}ab");
        assert_eq!(sanitize(&"x".repeat(9_999)).len(), MAX_CHARS);
    }
}
