//! Text that a stranger wrote, made fit to be shown.
//!
//! What a registry sends ends up in logs and terminals, where control characters, and marks
//! that turn a text around, can do harm.

use std::error::Error;

use crate::protocol::{ErrorBody, ListedPeer, is_visible};

/// The most that is kept of a sentence, in characters.
const MOST_CHARS: usize = 512;

/// Replaces control and invisible characters and cuts what is too long.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .take(MOST_CHARS)
        .map(|c| match is_visible(c.encode_utf8(&mut [0; 4])) {
            true => c,
            false => '\u{fffd}',
        })
        .collect()
}

/// An error with all its causes, since "cannot reach" alone helps nobody.
pub(super) fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// What was meant as an address, without what may be a user and a password in it.
pub(super) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.find("://") {
        Some(at) => url.split_at(at + 3),
        None => ("", url),
    };
    // A password may hold anything, even blanks, slashes and half of an address.
    match rest.rfind('@') {
        Some(at) => format!("{scheme}***{}", &rest[at..]),
        // What stands in the place of a port may be a password cut off by a comma.
        None => match rest.split_once(':') {
            Some((user, port)) if !port.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("{scheme}{user}:***")
            }
            _ => url.to_owned(),
        },
    }
}

/// An error as it may be shown.
pub(super) fn cleaned(body: ErrorBody) -> ErrorBody {
    ErrorBody {
        error: clean(&body.error),
        code: body.code,
        suggestion: body.suggestion.as_deref().map(clean),
        field: body.field.as_deref().map(clean),
    }
}

/// Whether `text` can be shown as it is.
pub(super) fn is_printable(text: &str) -> bool {
    is_visible(text)
}

/// Whether every short text of a peer can be shown as it is.
pub(super) fn is_printable_peer(peer: &ListedPeer) -> bool {
    let own = [&peer.crypto_ipv6, &peer.version, &peer.network_id];
    own.into_iter()
        .flatten()
        .chain(&peer.addresses)
        .chain(peer.stores.iter().flatten())
        .all(|text| is_printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        for (url, shown) in [
            ("htp://me:secret@host/a", "htp://***@host/a"),
            ("me:se/c@ret@host", "***@host"),
            ("https://me:secret", "https://me:***"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("ftp://host:21/a", "ftp://host:21/a"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn control_and_invisible_characters_are_replaced_and_long_texts_cut() {
        assert_eq!(clean("a\x1b[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(clean("\u{202e}ab"), "\u{fffd}ab");
        assert_eq!(clean(&"x".repeat(9_999)).len(), MOST_CHARS);
    }
}
