//! Reads the parameters of the scheme from a header.
//!
//! A header can name several schemes, e.g. `Basic realm="a, b", libp2p-PeerID challenge-client="..."`
//! (RFC 9110, 11.6.1). go-libp2p separates parameters by blanks instead of commas in some versions, and the
//! specification does so in its text; both are read.

use std::borrow::Cow;

use thiserror::Error;

use super::parameters::{ParameterName, Parameters};
use super::scheme::{MAX_HEADER_BYTES, SCHEME};

/// Why a header that names the scheme cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderFault {
    /// The header is longer than [`MAX_HEADER_BYTES`].
    #[error("the header is longer than {MAX_HEADER_BYTES} bytes")]
    TooLong,
    /// The header does not have the form of RFC 9110.
    #[error("the header is not a list of name=\"value\" after {SCHEME}")]
    Malformed,
    /// The header has a parameter twice.
    #[error("the header has the parameter {0} twice")]
    RepeatedParameter(ParameterName),
    /// The header names the scheme twice.
    #[error("the header names {SCHEME} twice")]
    RepeatedScheme,
}

impl Parameters {
    /// Reads the parameters of the scheme from the value of a header. `None` if the header is for other
    /// schemes only.
    ///
    /// # Errors
    /// A [`HeaderFault`] if the header names the scheme but cannot be read.
    pub fn find(header: &str) -> Result<Option<Self>, HeaderFault> {
        if !mentions_scheme(header) {
            return Ok(None);
        }
        if header.len() > MAX_HEADER_BYTES {
            return Err(HeaderFault::TooLong);
        }
        Reader::new(header).read()
    }
}

fn mentions_scheme(header: &str) -> bool {
    let mut windows = header.as_bytes().windows(SCHEME.len());
    windows.any(|window| window.eq_ignore_ascii_case(SCHEME.as_bytes()))
}

/// The scheme that a parameter belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ours,
    Other,
}

struct Reader<'a> {
    /// What is not read yet.
    rest: &'a str,
    scheme: Option<Scheme>,
    found: Option<Parameters>,
}

impl<'a> Reader<'a> {
    fn new(header: &'a str) -> Self {
        Self {
            rest: header,
            scheme: None,
            found: None,
        }
    }

    fn read(mut self) -> Result<Option<Parameters>, HeaderFault> {
        loop {
            self.skip_separators();
            if self.rest.is_empty() {
                return Ok(self.found);
            }
            let word = self.word();
            if word.is_empty() {
                // Not our scheme: `name= "value"` was read up to the blank.
                let is_skipped = self.scheme == Some(Scheme::Other) && self.quoted().is_some();
                if !is_skipped {
                    return Err(HeaderFault::Malformed);
                }
            } else if self.skip_equals_sign() {
                self.read_value(word)?;
            } else if word.eq_ignore_ascii_case(SCHEME) {
                if self.found.is_some() {
                    return Err(HeaderFault::RepeatedScheme);
                }
                self.found = Some(Parameters::new());
                self.scheme = Some(Scheme::Ours);
            } else {
                // The name of another scheme, or its token68.
                self.scheme = Some(Scheme::Other);
            }
        }
    }

    /// Reads the value of the parameter `name`, after the equals sign.
    fn read_value(&mut self, name: &str) -> Result<(), HeaderFault> {
        if self.scheme == Some(Scheme::Other) {
            self.skip_foreign_value();
            return Ok(());
        }
        self.skip_blanks();
        let value = self.value().ok_or(HeaderFault::Malformed)?;
        // A parameter before any scheme belongs to none.
        let found = self.found.as_mut().ok_or(HeaderFault::Malformed)?;
        let Ok(name) = name.parse::<ParameterName>() else {
            return Ok(());
        };
        if !value.is_ascii() {
            return Err(HeaderFault::Malformed);
        }
        match found.insert(name, value.into_owned()) {
            true => Ok(()),
            false => Err(HeaderFault::RepeatedParameter(name)),
        }
    }

    /// Skips the end of a token68, or the value of a parameter.
    fn skip_foreign_value(&mut self) {
        self.rest = self.rest.trim_start_matches('=');
        if self.quoted().is_none() {
            self.word();
        }
    }

    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips an equals sign and the blanks before it, if there is one.
    fn skip_equals_sign(&mut self) -> bool {
        let after = self.rest.trim_start_matches([' ', '\t']).strip_prefix('=');
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Reads a name or a value without quotes; empty if there is none.
    fn word(&mut self) -> &'a str {
        let is_end = |c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~/".contains(c);
        let len = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        word
    }

    /// Reads a value with or without quotes; one without may end with the padding of base64.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let start = self.rest;
        let word = self.word();
        self.rest = self.rest.trim_start_matches('=');
        let value = &start[..start.len() - self.rest.len()];
        (!word.is_empty()).then_some(Cow::Borrowed(value))
    }

    /// Reads a quoted string (RFC 9110, 5.6.4). Does nothing if there is none.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let inside = self.rest.strip_prefix('"')?;
        let plain_len = inside.bytes().position(ends_plain_text)?;
        if inside.as_bytes()[plain_len] == b'"' {
            self.rest = &inside[plain_len + 1..];
            return Some(Cow::Borrowed(&inside[..plain_len]));
        }
        let mut value = inside[..plain_len].to_owned();
        let mut chars = inside[plain_len..].char_indices();
        while let Some((index, c)) = chars.next() {
            let c = match c {
                '"' => {
                    self.rest = &inside[plain_len + index + 1..];
                    return Some(Cow::Owned(value));
                }
                '\\' => chars.next()?.1,
                c => c,
            };
            if c.is_ascii_control() && c != '\t' {
                return None;
            }
            value.push(c);
        }
        None
    }
}

/// Whether the text of a quoted string cannot be taken as it is from here on.
fn ends_plain_text(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\') || byte.is_ascii_control()
}

#[cfg(test)]
mod tests;
