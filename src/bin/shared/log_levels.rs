//! How much is logged, from the variable `RUST_LOG`.

use std::env::{self, VarError};

use anyhow::Context;

/// The levels in `RUST_LOG`, or `info`.
///
/// # Errors
/// The variable is not a list of levels, at which the logger itself would only fall silent.
pub(crate) fn from_environment() -> anyhow::Result<String> {
    let levels = match env::var("RUST_LOG") {
        Ok(levels) => levels,
        Err(VarError::NotPresent) => "info".to_owned(),
        Err(error) => return Err(error).context("RUST_LOG must be text"),
    };
    env_filter::Builder::new()
        .try_parse(&levels)
        .with_context(|| format!("RUST_LOG must be e.g. info or debug, not {levels:?}"))?;
    Ok(levels)
}
