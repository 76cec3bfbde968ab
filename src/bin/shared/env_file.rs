//! A file of settings, which is read into the environment of the process.

use anyhow::anyhow;

/// Says what is wrong with the file called `name`.
///
/// The message of dotenvy would show the line, which may contain a secret; and it repeats its cause.
pub(crate) fn fault(name: &str, error: &dotenvy::Error) -> anyhow::Error {
    match error {
        dotenvy::Error::LineParse(_, column) => anyhow!(
            "{name} has a line that is not NAME=VALUE, at character {column} of it; a value with \
             blanks needs quotes"
        ),
        error => anyhow!("cannot read {name}: {error}"),
    }
}
