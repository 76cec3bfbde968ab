//! A secret, and how it is read from a file.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// Maximum size of a file with a secret, in bytes. A larger one was named by mistake.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A text that nobody but its owner may read: it is in no log, error or `Debug` output, and its memory
/// is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.expose_secret()
    }

    /// The secret as it is.
    pub fn expose(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    /// What is wrong with the secret; `None` if it can be used as it stands.
    ///
    /// A blank at an end may be a slip or a part of the secret, and nobody can see it. Removing it would
    /// change the secret in silence.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let text = self.as_str();
        if text.trim().len() < text.len() {
            return Some("has a blank at the beginning or the end of a secret; leave it out");
        }
        let has_control = text.chars().any(char::is_control);
        has_control.then_some("has a control character, such as the end of a line, in a secret")
    }

    /// The secrets in a comma-separated list, each as it stands.
    pub fn split(&self) -> impl Iterator<Item = Self> {
        let parts = self.as_str().split(',');
        parts
            .filter(|part| !part.is_empty())
            .map(|part| Self(part.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// For settings that are compared. A secret that a client sends is compared in constant time elsewhere.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Secret {}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

/// Whether a value has quotes around it that a person meant for a shell.
pub(crate) fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    let has_both = |quote| text.len() >= 2 && text.starts_with(quote) && text.ends_with(quote);
    has_both('"') || has_both('\'')
}

/// The secret in a file, without the end of its last line; and a notice if other users can read it.
/// Secrets that are mounted into a container often are readable for a group, or for everybody.
///
/// # Errors
/// The reason why the file cannot be read or holds no secret.
pub(crate) fn read_file(path: &OsStr) -> Result<(Secret, Option<String>), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map(|file| match file.is_file() {
        true => file.permissions().mode() & 0o777,
        false => 0, // e.g. a pipe
    });
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    if text.starts_with('\u{feff}') {
        // A mark that some editors put at the beginning, invisibly.
        text.remove(0);
    }
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if is_quoted(&text) {
        return Err("it has quotes around the secret; leave them out".to_owned());
    }
    let open_mode = mode.ok().filter(|mode| mode & 0o077 != 0);
    let notice = open_mode.map(|mode| {
        let path = Path::new(path).display();
        let readers = match mode & 0o007 {
            0 => "users of its group",
            _ => "other users",
        };
        format!("{readers} can read {path} (mode {mode:03o}); with mode 400 they cannot")
    });
    Ok((Secret::new(text), notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_in_no_debug_output() {
        let secret: Secret = "s3cr3t".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "[secret]");
    }
}
