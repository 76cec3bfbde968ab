//! Says why a body is not a JSON object: the true cause, and not only where the parser stopped.

use serde_json::Value;

use super::RequestError;

/// The byte order mark of UTF-8, with which some Windows programs begin every text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The white space of JSON.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The max number of characters of a body that an error repeats.
const SHOWN_CHARS: usize = 16;

/// The first bytes of compressed data, by format.
const COMPRESSED: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x78\x01", "deflate"),
    (b"\x78\x9c", "deflate"),
    (b"\x78\xda", "deflate"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
];

/// Returns the body after its byte order mark, if it has one.
pub(crate) fn without_mark(mut body: &[u8]) -> &[u8] {
    while let Some(rest) = body.strip_prefix(MARK) {
        body = rest;
    }
    body
}

/// The error for well-formed JSON that is not an object.
pub(crate) fn not_an_object(value: &Value) -> RequestError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.trim_start().starts_with('{') => {
            "a string: send the object itself, not its text in quotes"
        }
        Value::String(_) => "a string",
        Value::Array(_) => "an array: send each object in a request of its own",
        Value::Object(_) => "this one",
    };
    RequestError::invalid_json(format!("the body must be a JSON object, not {kind}"))
}

/// The error for a body without a byte order mark that the parser refuses with `error`.
pub(crate) fn explain(body: &[u8], error: &serde_json::Error) -> RequestError {
    if body.iter().all(u8::is_ascii_whitespace) {
        return RequestError::invalid_json("the body is empty: it must be a JSON object");
    }
    let cause = wrong_encoding(body).unwrap_or_else(|| match std::str::from_utf8(body) {
        Err(fault) => not_utf8(body, fault),
        Ok(text) if error.is_eof() => ends_early(text, error),
        Ok(text) => misspelled(text, error),
    });
    RequestError::invalid_json(cause)
}

/// Names the compression or the encoding of a body that is certainly not UTF-8 text.
fn wrong_encoding(body: &[u8]) -> Option<String> {
    let compressed = COMPRESSED.iter().find(|(begin, _)| body.starts_with(begin));
    if let Some((_, format)) = compressed {
        return Some(match *format {
            "gzip" => "the body is compressed with gzip, and the header Content-Encoding: gzip is \
                       missing"
                .to_owned(),
            other => format!("the body is compressed with {other}: only gzip is allowed"),
        });
    }
    // A JSON object begins with an ASCII character, whose other bytes are 0 in UTF-16 and UTF-32.
    let encoding = match body {
        [0xff, 0xfe, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => "UTF-32 (little-endian)",
        [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, 1..=255, ..] => "UTF-32 (big-endian)",
        [0xff, 0xfe, ..] | [1..=255, 0, ..] => "UTF-16 (little-endian)",
        [0xfe, 0xff, ..] | [0, 1..=255, ..] => "UTF-16 (big-endian)",
        _ => return None,
    };
    Some(format!("the body is {encoding}: JSON must be UTF-8"))
}

fn not_utf8(body: &[u8], fault: std::str::Utf8Error) -> String {
    let at = fault.valid_up_to();
    match (fault.error_len(), body.get(at)) {
        (Some(_), Some(byte)) => format!(
            "the body must be UTF-8, and byte {at} (0x{byte:02x}) is not; bytes count from 0"
        ),
        _ => format!("the body ends in the middle of a UTF-8 character, after {at} bytes"),
    }
}

fn ends_early(text: &str, error: &serde_json::Error) -> String {
    // A program that counts characters announces too few bytes.
    let hint = match text.is_ascii() {
        true => "",
        false => "; Content-Length must count bytes, not characters",
    };
    format!("the body ends in the middle of its JSON: {error}{hint}")
}

fn misspelled(text: &str, error: &serde_json::Error) -> String {
    if let Some(kind) = other_format(text.trim_start_matches(BLANKS)) {
        return format!("the body must be a JSON object, and it is {kind}");
    }
    match hint(text, error) {
        Some(hint) => format!("the body must be a JSON object: {error}; {hint}"),
        None if !text.trim_start_matches(BLANKS).starts_with('{') => {
            let begin: String = text.chars().take(SHOWN_CHARS).collect();
            format!("the body must be a JSON object, and it begins with {begin:?}")
        }
        None => format!("the body must be a JSON object: {error}"),
    }
}

/// Names the format of a text that is not meant to be JSON.
fn other_format(text: &str) -> Option<&'static str> {
    // Base64 may end with `=`, but has nothing after it.
    let is_pair = |(name, value): (&str, &str)| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.%+[]".contains(c);
        let has_value = !matches!(value, "" | "=");
        !name.is_empty() && name.chars().all(is_name) && has_value
    };
    match text {
        _ if text.starts_with('<') => Some("HTML or XML"),
        _ if text.starts_with("--") => Some("multipart"),
        _ if text
            .get(..3)
            .is_some_and(|it| it.eq_ignore_ascii_case("%7b")) =>
        {
            Some("percent-encoded")
        }
        _ if text.split_once('=').is_some_and(is_pair) => Some("form-encoded"),
        _ => None,
    }
}

/// What a person most likely did wrong at the place where the parser stopped.
fn hint(text: &str, error: &serde_json::Error) -> Option<&'static str> {
    let words = error.to_string();
    if words.starts_with("duplicate key") {
        return None;
    }
    let is_half = ["lone leading surrogate", "unexpected end of hex escape"]
        .iter()
        .any(|half| words.starts_with(half));
    if is_half {
        return Some(
            "an escape from \\ud800 to \\udfff is one half of a character (a surrogate), and the other \
             half must stand beside it: was the text cut in the middle of a character?",
        );
    }
    if words.starts_with("trailing comma") {
        return Some("no comma may follow the last entry");
    }
    let rest = rest_at(text, error);
    if rest.starts_with('/') || rest.starts_with('#') {
        return Some("JSON has no comments");
    }
    if words.starts_with("trailing characters") {
        return Some("nothing may follow the object");
    }
    let begins = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
    if begins(&["NaN", "Infinity", "nan", "inf", "undefined"]) {
        return Some("JSON has no NaN, Infinity or undefined: send null, or leave the field out");
    }
    if begins(&["True", "False", "None"]) {
        return Some("JSON spells true, false and null in lowercase");
    }
    if begins(&["'", "`", "\u{2018}", "\u{201c}", "\u{201d}"]) {
        return Some("JSON quotes keys and strings with \"");
    }
    if rest.starts_with('\\') {
        return Some("quotes around keys and strings take no backslash");
    }
    let is_key = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    if words.starts_with("key must be a string") && rest.starts_with(is_key) {
        return Some("JSON quotes keys with \"");
    }
    None
}

/// The text from the character at which the parser stopped.
fn rest_at<'t>(text: &'t str, error: &serde_json::Error) -> &'t str {
    let before = error.line().saturating_sub(1);
    let line_at: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    // The parser counts bytes from 1.
    let mut at = (line_at + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    &text[at..]
}

#[cfg(test)]
mod tests;
