//! Names in the file of settings and in the environment that look like misspelled settings.

use std::env;

use peer_registry::server::config::Settings;

use crate::env_file::EnvFile;
use crate::setting_flags::names;

/// Shorter names are those of other programs.
const MIN_CHARS: usize = 8;

/// Variables of others that resemble a setting.
const OTHERS: [&str; 1] = ["RUST_LOG_STYLE"];

/// One notice for each name that looks like a misspelled setting. Other unknown names belong to other
/// programs, which may use the same file.
pub(crate) fn notices(file: &EnvFile) -> Vec<String> {
    let declared = Settings::declared();
    let mut known: Vec<_> = declared.iter().flat_map(names).collect();
    known.push("RUST_LOG");
    let in_file = file.iter().map(|(name, _)| (".env", name.to_owned()));
    let in_environment =
        env::vars_os().filter_map(|(name, _)| Some(("the environment", name.into_string().ok()?)));
    let found = in_file.chain(in_environment);
    found
        .filter_map(|(place, name)| {
            let meant = nearest(&name, &known)?;
            Some(format!(
                "{place} has {name}, which is not a setting and is ignored; perhaps {meant} is meant"
            ))
        })
        .collect()
}

/// The setting that `given` is most likely meant to be; `None` if it is one, or resembles none.
fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    let is_other = OTHERS.contains(&given) || given.starts_with("PEER_AGENT_");
    if known.contains(&given) || is_other {
        return None;
    }
    let plain = given.to_ascii_uppercase().replace(['-', '.'], "_");
    if plain.len() < MIN_CHARS {
        return known.iter().copied().find(|name| *name == plain);
    }
    let candidates = known.iter().filter_map(|&name| {
        // Without its unit, or with a longer word at its end.
        let is_part = plain.contains('_')
            && (name
                .strip_prefix(&*plain)
                .is_some_and(|rest| rest.starts_with('_'))
                || plain.starts_with(name) && !plain[name.len()..].contains('_'));
        if !is_part && name.len().abs_diff(plain.len()) > 2 {
            return None;
        }
        let edits = strsim::osa_distance(&plain, name);
        (is_part || edits <= 2).then_some((edits, name))
    });
    candidates.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(given: &str) -> Option<&'static str> {
        let declared = Settings::declared();
        let known: Vec<_> = declared.iter().flat_map(names).collect();
        nearest(given, &known)
    }

    #[test]
    fn names_that_look_like_ours_are_recognised() {
        for (given, expected) in [
            ("TURN_SHARED_SECRETS", "TURN_SHARED_SECRET"),
            ("PEER_TIMEOUT", "PEER_TIMEOUT_SECS"),
            ("peer_timeout_secs", "PEER_TIMEOUT_SECS"),
            ("MAX_PEER", "MAX_PEERS"),
            ("LISTEN_ADDRESS", "LISTEN_ADDR"),
            ("LISTEN_ADDRS", "LISTEN_ADDR"),
            ("ADMIN_TOKEN_FILES", "ADMIN_TOKEN_FILE"),
            ("MAX_MEMORY", "MAX_MEMORY_MB"),
            ("port", "PORT"),
        ] {
            assert_eq!(meant(given).unwrap_or_default(), expected, "{given}");
        }
    }

    #[test]
    fn names_of_other_programs_are_left_alone() {
        for given in [
            "PATH",
            "HOST",
            "PORTS",
            "HTTP_PROXY",
            "HOSTNAME",
            "LOG_LEVEL",
            "RUST_LOG_STYLE",
            "RUST_BACKTRACE",
            "POSTGRES_PASSWORD",
            "PEER_AGENT_MAX_PEERS",
            "PEER_REGISTRY_URL",
            "PEER_TIMEOUT_SECS",
        ] {
            assert_eq!(meant(given), None, "{given}");
        }
    }
}
