//! A file of settings, `NAME=VALUE` lines, that is read into the environment of the process.

use std::path::Path;

use anyhow::{Context, bail};

/// Adds the settings in the file at `path`, called `name` in messages, to the environment, whose own
/// values take precedence. Returns whether the file exists.
///
/// # Errors
/// The file cannot be read, or a line is not a setting. The message does not show the line, since it
/// may hold a secret.
pub(crate) fn read(path: &Path, name: &str) -> anyhow::Result<bool> {
    match dotenvy::from_path(path) {
        Ok(()) => Ok(true),
        Err(error) if error.not_found() => Ok(false),
        Err(dotenvy::Error::LineParse(_, column)) => bail!(
            "{name} has a line that is not NAME=VALUE, at character {column} of it; a value with \
             blanks needs quotes"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read {name}")),
    }
}
