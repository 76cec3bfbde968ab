//! A compact form of short texts.

use std::hash::Hash;
use std::io::Write;

/// A text as bytes after a tag byte. Lower-case hexadecimal digits, as in a hash, take half a byte
/// each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct CompactText(Box<[u8]>);

const PLAIN: u8 = 0;
const HEX: u8 = 1;

/// A shorter text would save no memory.
const MIN_HEX_CHARS: usize = 16;

impl CompactText {
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut packed = Vec::with_capacity(bytes.len() + 1);
        if bytes.len() >= MIN_HEX_CHARS && bytes.len().is_multiple_of(2) {
            packed.push(HEX);
            let pairs = bytes.chunks_exact(2);
            packed.extend(pairs.map_while(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)));
            if packed.len() == bytes.len() / 2 + 1 {
                return Self(packed.into());
            }
            packed.clear();
        }
        packed.push(PLAIN);
        packed.extend_from_slice(bytes);
        Self(packed.into())
    }

    /// Memory on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.len().next_multiple_of(8)
    }

    /// Appends the text to `out` as a JSON string.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        match self.0.split_first() {
            Some((&HEX, packed)) => {
                out.push(b'"');
                for byte in packed {
                    let _ = write!(out, "{byte:02x}");
                }
                out.push(b'"');
            }
            Some((_, bytes)) => {
                let text = str::from_utf8(bytes).unwrap_or_default();
                let _ = serde_json::to_writer(out, text);
            }
            None => out.extend_from_slice(b"\"\""),
        }
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        CompactText::new(text).write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        let hash = "2f8e0d1c5b7a4f3e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a3f2e1d0c9b8a7f6e";
        let upper = hash.to_uppercase();
        for text in [
            "a",
            "ab",
            "quo\"te",
            "äö",
            hash,
            &hash[1..],
            &upper,
            "0123456789abcdeg",
        ] {
            assert_eq!(json(text), serde_json::to_string(text).unwrap());
        }
        assert_eq!(CompactText::new(hash).0.len(), 33);
        assert_ne!(CompactText::new(hash), CompactText::new(&upper));
    }
}
