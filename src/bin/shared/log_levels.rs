//! How much is logged, from the variable `RUST_LOG`.

use std::env::{self, VarError};

use anyhow::{Context, anyhow};
use log::{Level, LevelFilter, Metadata};

/// The level if nothing else is said.
pub(crate) const DEFAULT: &str = "info";

/// Our own lines have this target, or one below it.
const TARGET: &str = "peer_registry";

/// How much is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// A filter of env_logger.
    pub(crate) filter: String,
    /// What the operator should know about `RUST_LOG`.
    pub(crate) notice: Option<String>,
}

/// The levels in `RUST_LOG`, or `otherwise`, or [`DEFAULT`]. If they would log nothing, although
/// nobody said `off`, the level is [`DEFAULT`], and there is a notice.
///
/// # Errors
/// The variable is not a list of levels.
pub(crate) fn from_environment(otherwise: Option<&str>) -> anyhow::Result<Levels> {
    match env::var("RUST_LOG") {
        Ok(levels) => parse(&levels),
        Err(VarError::NotPresent) => parse(otherwise.unwrap_or(DEFAULT)),
        Err(error) => Err(error).context("RUST_LOG must be text"),
    }
}

fn parse(text: &str) -> anyhow::Result<Levels> {
    let mut filter = env_filter::Builder::new();
    // Without any directive the builder would add one.
    filter.filter_module("no target has this name", LevelFilter::Off);
    if filter.try_parse(text).is_err() {
        return Err(anyhow!("RUST_LOG must be e.g. info or debug, not {text:?}"));
    }
    let error = Metadata::builder()
        .level(Level::Error)
        .target(TARGET)
        .build();
    if filter.build().enabled(&error) || is_off(text) {
        return Ok(Levels {
            filter: text.to_owned(),
            notice: None,
        });
    }
    let is_plain = !text.trim().is_empty() && !text.contains('/');
    Ok(Levels {
        filter: match is_plain {
            // What it says about single modules still holds.
            true => format!("{DEFAULT},{text}"),
            false => DEFAULT.to_owned(),
        },
        notice: Some(format!(
            "RUST_LOG is {text:?}, which names no level for peer-registry, so it is {DEFAULT}; \
             with off nothing is logged"
        )),
    })
}

/// Whether `text` turns our own lines off.
fn is_off(text: &str) -> bool {
    let directives = text.split('/').next().unwrap_or_default().split(',');
    directives.map(str::trim).any(|directive| {
        let (target, level) = directive.split_once('=').unwrap_or(("", directive));
        level.trim().eq_ignore_ascii_case("off") && TARGET.starts_with(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> (String, bool) {
        let levels = parse(text).unwrap();
        (levels.filter, levels.notice.is_some())
    }

    #[test]
    fn what_would_silence_the_log_by_mistake_is_info_and_named() {
        for (text, expected) in [
            ("", "info"),
            (" ", "info"),
            ("\"info\"", "info,\"info\""),
            ("'debug'", "info,'debug'"),
            ("warning", "info,warning"),
            ("inof", "info,inof"),
            ("actix_http=trace", "info,actix_http=trace"),
            ("inof/text", "info"),
        ] {
            assert_eq!(filter(text), (expected.to_owned(), true), "{text:?}");
        }
    }

    #[test]
    fn what_the_operator_chose_stays_as_it_is() {
        for text in [
            "info",
            " DEBUG ",
            "off",
            "peer_registry=OFF",
            "off,actix_http=trace",
            "peer_registry",
            "error,sqlx=debug",
            "info/text",
        ] {
            assert_eq!(filter(text), (text.to_owned(), false));
        }
        assert!(parse("peer_registry=loud").is_err());
    }
}
