//! How much is logged, from the variable `RUST_LOG`.

use std::env::{self, VarError};

use anyhow::{Context, anyhow};

/// The levels in `RUST_LOG`, or `otherwise`, or `info`.
///
/// # Errors
/// The variable is not a list of levels. The logger itself would log nothing then.
pub(crate) fn from_environment(otherwise: Option<&str>) -> anyhow::Result<String> {
    let levels = match env::var("RUST_LOG") {
        Ok(levels) => levels,
        Err(VarError::NotPresent) => otherwise.unwrap_or("info").to_owned(),
        Err(error) => return Err(error).context("RUST_LOG must be text"),
    };
    match env_filter::Builder::new().try_parse(&levels) {
        Ok(_) => Ok(levels),
        Err(_) => Err(anyhow!(
            "RUST_LOG must be e.g. info or debug, not {levels:?}"
        )),
    }
}
