//! Bodies as programs and people get them wrong.

use super::*;

fn explained(body: &[u8]) -> String {
    let body = without_mark(body);
    let error = serde_json::from_slice::<Value>(body).unwrap_err();
    explain(body, &error).message
}

#[track_caller]
fn assert_explained(body: impl AsRef<[u8]>, part: &str) {
    let message = explained(body.as_ref());
    assert!(message.contains(part), "{message}");
    let is_blank_excuse =
        message.contains("expected value at line 1 column 1") && !message.contains(';');
    assert!(!is_blank_excuse, "{message}");
}

#[test]
fn other_encodings_are_named_with_and_without_a_mark() {
    let json = "{\"peerId\":\"ü\"}";
    let utf16 = |to_bytes: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    };
    let utf32 = |to_bytes: fn(u32) -> [u8; 4], text: &str| -> Vec<u8> {
        text.chars().flat_map(|c| to_bytes(c.into())).collect()
    };
    for mark in ["", "\u{feff}"] {
        let text = format!("{mark}{json}");
        assert_explained(utf16(u16::to_le_bytes, &text), "UTF-16 (little-endian)");
        assert_explained(utf16(u16::to_be_bytes, &text), "UTF-16 (big-endian)");
        assert_explained(utf32(u32::to_le_bytes, &text), "UTF-32 (little-endian)");
        assert_explained(utf32(u32::to_be_bytes, &text), "UTF-32 (big-endian)");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_named_by_their_offset() {
    assert_explained(b"{\"version\":\"\xe9t\xe9\"}", "byte 12 (0xe9)");
    assert_explained(b"\xff", "byte 0 (0xff)");
    assert_explained(
        b"{\"v\":\"\xc3",
        "ends in the middle of a UTF-8 character, after 6",
    );
}

#[test]
fn a_body_that_ends_early_is_said_to_end_in_the_middle() {
    for body in [
        "{",
        "{\"peerId\"",
        "{\"peerId\":",
        "{\"peerId\":\"a",
        "{\"a\":[1,",
        "{\"a\":tr",
    ] {
        assert_explained(body, "ends in the middle");
    }
    assert_explained("{\"version\":\"é\"", "bytes, not characters");
}

#[test]
fn what_is_no_json_is_named() {
    for (body, part) in [
        ("peerId=a&addresses=", "form-encoded"),
        ("--boundary\r\nContent-Disposition", "multipart"),
        ("<!doctype html>", "HTML"),
        ("%7B%22peerId%22%3A%22a%22%7D", "percent-encoded"),
        ("hello", "begins with \"hello\""),
        ("e30=", "begins with \"e30=\""),
        ("\u{a0}{}", "begins with \"\\u{a0}{}\""),
        (" \n\t", "empty"),
        ("", "empty"),
        ("\x1f", "begins with"),
    ] {
        assert_explained(body, part);
    }
    assert_explained(b"\x1f\x8b\x08\x00", "Content-Encoding: gzip is missing");
    assert_explained(b"\x28\xb5\x2f\xfd", "zstd");
    assert_explained(b"\x78\x9c\x01", "deflate");
}

#[test]
fn common_slips_get_a_hint_beside_the_words_of_the_parser() {
    for (body, part) in [
        ("{\"a\":NaN}", "JSON has no NaN"),
        ("{\"a\":Infinity}", "JSON has no NaN"),
        ("{\"a\":-Infinity}", "JSON has no NaN"),
        ("{\n \"a\": undefined}", "undefined"),
        ("{\"a\":True}", "lowercase"),
        ("{\"a\":None}", "lowercase"),
        ("{'a':1}", "JSON quotes keys"),
        ("{\"a\":'b'}", "JSON quotes keys"),
        ("{“a”:1}", "JSON quotes keys"),
        ("{a:1}", "JSON quotes keys"),
        ("{\\\"a\\\":1}", "no backslash"),
        ("{\"a\":1,}", "no comma"),
        ("{\"a\":[1,]}", "no comma"),
        ("// note\n{\"a\":1}", "no comments"),
        ("{\"a\":1 /* note */}", "no comments"),
        ("{# note\n\"a\":1}", "no comments"),
        ("{\"a\":1} // note", "no comments"),
        ("{\"a\":1}{\"b\":2}", "nothing may follow"),
        ("{\"a\":1}\0", "nothing may follow"),
    ] {
        assert_explained(body, part);
        assert!(explained(body.as_bytes()).contains("line "), "{body}");
    }
}

#[test]
fn one_half_of_a_character_is_named_as_such() {
    for half in [
        "\\ud800",
        "\\ud83dx",
        "\\ud800\\u0041",
        "\\udc00",
        "\\ud800\\n",
    ] {
        assert_explained(format!("{{\"version\":\"{half}\"}}"), "a surrogate");
        assert_explained(format!("{{\"{half}\":1}}"), "a surrogate");
    }
}
