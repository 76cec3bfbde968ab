//! Settings as tests write them.

use peer_registry::server::config::Settings;

/// Settings that are given as flags of the command line, `--name=value`.
pub fn settings<'a>(flags: impl IntoIterator<Item = &'a str>) -> Settings {
    let setting = |flag: &str| {
        let (name, value) = flag.trim_start_matches('-').split_once('=').unwrap();
        (name.to_uppercase().replace('-', "_"), value.to_owned())
    };
    flags.into_iter().map(setting).collect()
}
