//! A file of settings: lines of NAME=VALUE, whose values are taken as they are written.
//!
//! Nothing is substituted in a value, and nothing is cut off. A line that another reader of such
//! files would read differently, and that a person may have meant differently, is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use anyhow::{anyhow, bail};

/// The settings of a file, by name.
#[derive(Clone, Default)]
pub(crate) struct EnvFile(BTreeMap<String, String>);

impl EnvFile {
    /// Reads the file at `path`. Returns `None` if there is no such file.
    ///
    /// # Errors
    /// Says which line is wrong and how to write it. The message shows no value, since a value may
    /// be a secret.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => bail!("cannot read it: {error}"),
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            anyhow!("line {line} is not text in UTF-8")
        })?;
        Self::parse(&text).map(Some)
    }

    /// All settings, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut settings = BTreeMap::new();
        // Windows editors put this mark at the beginning.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            let fault = |reason: &str| anyhow!("line {} {reason}", index + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| fault("is not NAME=VALUE"))?;
            let name = name.trim_end();
            let name = match name.strip_prefix("export") {
                Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
                _ => name,
            };
            if !is_name(name) {
                return Err(fault("is not NAME=VALUE"));
            }
            let value = value_of(value.trim_start()).map_err(fault)?;
            // Which one was meant is not known.
            if settings.insert(name.to_owned(), value).is_some() {
                return Err(fault(&format!("sets {name} a second time")));
            }
        }
        Ok(Self(settings))
    }
}

fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    name.chars().all(is_part) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// The value in `text`, the rest of a line after `=`.
fn value_of(text: &str) -> Result<String, &'static str> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("has a control character");
    }
    let (value, rest) = match text.chars().next() {
        Some('\'') => quoted(&text[1..], '\'')?,
        Some('"') => quoted(&text[1..], '"')?,
        _ => plain(text)?,
    };
    let rest = rest.trim_start();
    if !(rest.is_empty() || rest.starts_with('#')) {
        return Err("is not NAME=VALUE: there is more text after the closing quote");
    }
    // Other readers of such files would put a variable here, so a person may expect it.
    if value.contains("${") && !text.starts_with('\'') {
        return Err(
            "has ${ in its value: variables are not substituted; a value that has it as \
                    plain text needs single quotes",
        );
    }
    Ok(value)
}

/// A value in quotes, and the rest of the line. Other readers differ about `\` in double quotes, so
/// it is refused there.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let Some((value, rest)) = text.split_once(quote) else {
        return Err("has no closing quote");
    };
    if quote == '"' && value.contains('\\') {
        return Err(
            "has a \\ in double quotes; a value that has it as plain text needs single quotes",
        );
    }
    Ok((value.to_owned(), rest))
}

/// A value without quotes, and the comment after it.
fn plain(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    if !(rest.trim_start().is_empty() || rest.trim_start().starts_with('#')) {
        return Err("is not NAME=VALUE: a value with blanks needs quotes");
    }
    Ok((value.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Result<String, String> {
        let file = EnvFile::parse(line).map_err(|error| error.to_string())?;
        Ok(file.0["A"].clone())
    }

    #[test]
    fn a_value_loses_no_part_of_itself() {
        for (line, expected) in [
            ("A=ab$defgh1", "ab$defgh1"),
            ("A=$ab", "$ab"),
            ("A=a\\b", "a\\b"),
            ("A=a#b", "a#b"),
            ("A=a\"b", "a\"b"),
            ("A=it's", "it's"),
            ("A=a=b==", "a=b=="),
            ("A= a", "a"),
            ("A = a", "a"),
            ("  export A=a  ", "a"),
            ("A=a # comment", "a"),
            ("A=a\r\n", "a"),
            ("\u{feff}A=a", "a"),
            ("A=", ""),
            ("A=''", ""),
            ("A=\"a b\" # comment", "a b"),
            ("A='a b'", "a b"),
            ("A='$a ${b} \\n \"#'", "$a ${b} \\n \"#"),
            ("A=\"$a #'\"", "$a #'"),
            ("A='{\"a\":1}'", "{\"a\":1}"),
        ] {
            assert_eq!(value(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_may_be_meant_otherwise_is_refused_and_not_shown() {
        for (line, reason) in [
            ("A=s3cr3t b", "needs quotes"),
            ("A='s3cr3t", "no closing quote"),
            ("A=\"s3cr3t", "no closing quote"),
            ("A='s3cr3t'b", "after the closing quote"),
            ("A=\"s3cr3t\"b", "after the closing quote"),
            ("A=s3cr3t${b}", "single quotes"),
            ("A=\"s3cr3t${b}\"", "single quotes"),
            ("A=\"s3cr3t\\n\"", "single quotes"),
            ("A=\"s3cr3t\\\"b\"", "single quotes"),
            ("A=\"s3cr3t\\\\b\"", "single quotes"),
            ("A=\"s3cr3t\\$b\"", "single quotes"),
            ("A=s3cr3t\0", "control character"),
            ("A=1\nA=s3cr3t", "line 2 sets A a second time"),
            ("s3cr3t", "line 1 is not NAME=VALUE"),
            ("A s3cr3t=1", "line 1 is not NAME=VALUE"),
            ("=s3cr3t", "line 1 is not NAME=VALUE"),
        ] {
            let fault = value(line).unwrap_err();
            assert!(fault.contains(reason), "{line:?}: {fault}");
            assert!(!fault.contains("s3cr3t"), "{fault}");
        }
    }
}
