//! Which texts are safe to show.
//!
//! Text from peers is shown to people in terminals, logs and web pages. There, an invisible character
//! can make two texts look the same, or reverse the text next to it.

use serde_json::Value;

/// Whether every character of `text` is visible: no control, format or other invisible characters.
///
/// Variation selectors pass, since emoji carry them.
pub fn is_visible(text: &str) -> bool {
    // Nearly all texts are ASCII.
    if text.is_ascii() {
        return !text.bytes().any(|byte| byte.is_ascii_control());
    }
    !text.contains(|c: char| c.is_control() || is_invisible(c))
}

/// Whether `text` is visible and has 1 to `max_bytes` bytes.
pub(crate) fn is_clean_text(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && is_visible(text)
}

/// Whether all keys and strings of `value` are visible.
pub(crate) fn is_clean_json(value: &Value) -> bool {
    match value {
        Value::String(text) => is_visible(text),
        Value::Array(items) => items.iter().all(is_clean_json),
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| is_visible(key) && is_clean_json(value)),
        _ => true,
    }
}

/// Whether `c` is a format character (general category Cf), a separator of lines or paragraphs, or
/// a letter or symbol without a glyph.
fn is_invisible(c: char) -> bool {
    matches!(c,
        // Format characters: soft hyphen, marks of direction, zero-width, number signs.
        '\u{ad}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        // Tags, and what is reserved around them.
        | '\u{e0000}'..='\u{e00ff}'
        | '\u{e01f0}'..='\u{e0fff}'
        // Separators of lines and paragraphs.
        | '\u{2028}' | '\u{2029}'
        // The joiner of graphemes, fillers of Hangul and Khmer, and the empty Braille pattern.
        | '\u{34f}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        | '\u{17b4}' | '\u{17b5}'
        | '\u{2800}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_visible() {
        for text in [
            "",
            "1.0.0-beta+7",
            "a b",
            "Zürich",
            "нода",
            "节点",
            "عقدة",
            "한국",
            "\u{1f980}",
            "\u{2764}\u{fe0f}",
        ] {
            assert!(is_visible(text), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_found_anywhere_in_a_text() {
        for hidden in [
            '\0',
            '\n',
            '\t',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{3164}',
            '\u{2800}',
            '\u{34f}',
        ] {
            for text in [
                format!("{hidden}"),
                format!("a{hidden}"),
                format!("{hidden}ä"),
                format!("ä{hidden}b"),
            ] {
                assert!(!is_visible(&text), "{text:?}");
            }
        }
    }
}
