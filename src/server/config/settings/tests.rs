//! What the settings take, and that the documents name each of them.

use super::*;
use crate::protocol::Limits;
use crate::server::config::{AddressPolicy, SettingGroup};

/// Checks settings that are given as flags.
fn check(flags: &[&str]) -> Result<Config, String> {
    let settings: Settings = flags
        .iter()
        .map(|flag| {
            let (name, value) = flag.trim_start_matches('-').split_once('=').unwrap();
            (name.to_uppercase().replace('-', "_"), value)
        })
        .collect();
    settings.check().map_err(|error| error.to_string())
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = check(&[]).unwrap();
    assert_eq!(config.listen_addrs, ["127.0.0.1:3000".parse().unwrap()]);
    assert_eq!(config.database_path.to_str(), Some("peers.db"));
    assert_eq!(config.registry.peer_timeout_secs, 600);
    assert_eq!(config.registry.cleanup_interval_secs, 900);
    assert_eq!(config.registry.max_peers, 1_000_000);
    assert_eq!(config.heartbeat_interval_secs, 120);
    assert_eq!(config.address_policy, AddressPolicy::CryptoIpv6);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.http.max_body_bytes, 512 * 1024);
    assert_eq!(config.http.max_listed, 1000);
}

#[test]
fn a_balancer_that_reuses_connections_for_a_minute_meets_no_closed_one() {
    assert!(check(&[]).unwrap().http.keep_alive_secs > 60);
    assert_eq!(
        check(&["--keep-alive-secs=620"])
            .unwrap()
            .http
            .keep_alive_secs,
        620
    );
}

#[test]
fn a_heartbeat_interval_over_half_the_timeout_is_refused() {
    let fault = check(&["--heartbeat-interval-secs=301"]).unwrap_err();
    assert!(fault.contains("HEARTBEAT_INTERVAL_SECS"), "{fault}");
    assert!(fault.contains("at most 300"), "{fault}");
    assert!(check(&["--heartbeat-interval-secs=300"]).is_ok());
}

#[test]
fn an_interval_over_half_the_timeout_is_told_along_with_other_faults() {
    let faults = check(&["--heartbeat-interval-secs=301", "--max-peers=0"]).unwrap_err();
    assert_eq!(faults.lines().count(), 2, "{faults}");
}

#[test]
fn a_database_must_be_a_file() {
    for url in [
        "peers.db",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://peers.db?mode=memory",
        "sqlite://file:peers.db",
    ] {
        let fault = check(&[&format!("--database-url={url}")]).unwrap_err();
        assert!(fault.contains("DATABASE_URL"), "{fault}");
    }
    for (url, path) in [
        ("sqlite:///var/lib/peers.db", "/var/lib/peers.db"),
        ("sqlite://data/peers.db", "data/peers.db"),
        ("sqlite:peers.db", "peers.db"),
    ] {
        let config = check(&[&format!("--database-url={url}")]).unwrap();
        assert_eq!(config.database_path.to_str(), Some(path));
    }
}

#[test]
fn a_timeout_of_one_second_is_allowed() {
    let args = ["--peer-timeout-secs=1", "--heartbeat-interval-secs=1"];
    assert!(check(&args).is_ok());
    assert!(check(&["--peer-timeout-secs=0"]).is_err());
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = check(&[
        "--listen-addr=nowhere",
        "--address-policy=open",
        "--peer-timeout-secs=-1",
        "--max-listed=0",
        "--database-url=postgres://localhost/peers",
    ])
    .unwrap_err();
    for name in [
        "LISTEN_ADDR",
        "ADDRESS_POLICY",
        "PEER_TIMEOUT_SECS",
        "MAX_LISTED",
        "DATABASE_URL",
    ] {
        assert!(faults.contains(name), "{name} in {faults}");
    }
    assert_eq!(faults.lines().count(), 5, "{faults}");
}

/// The declared settings, as name and default.
fn declared() -> Vec<(&'static str, Option<String>)> {
    let mut declared = Vec::new();
    for setting in Settings::declared() {
        declared.push((setting.name, setting.default));
        if let SettingGroup::Secret { file_name } = setting.group {
            declared.push((file_name, None));
        }
    }
    declared
}

#[test]
fn a_name_that_is_no_setting_is_a_fault() {
    let fault = check(&["--max-pears=5"]).unwrap_err();
    assert_eq!(fault, "MAX_PEARS is not a setting");
}

#[test]
fn the_document_has_a_row_for_each_setting_with_its_default() {
    let document = include_str!("../../../../docs/operating.md");
    let (_, section) = document.split_once("\n## Settings\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    for (name, default) in declared() {
        let default = default.map_or(String::new(), |text| format!("`{text}` "));
        let row = format!("\n| `{name}` | {default}|");
        assert!(section.contains(&row), "{row}");
    }
}

#[test]
fn the_document_has_no_row_for_what_is_no_setting() {
    let document = include_str!("../../../../docs/operating.md");
    let (_, section) = document.split_once("\n## Settings\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let declared = declared();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    for row in rows {
        let (name, _) = row.split_once('`').unwrap();
        let is_setting = declared.iter().any(|(setting, _)| *setting == name);
        assert!(is_setting || name == "RUST_LOG", "{name}");
    }
}

#[test]
fn the_example_file_has_each_setting_with_its_default() {
    let example = include_str!("../../../../.env.example");
    let lines: Vec<_> = example.lines().collect();
    for (name, default) in declared() {
        match default {
            Some(default) => {
                let line = format!("#{name}={default}");
                assert!(lines.contains(&line.as_str()), "{line}");
            }
            None => {
                let start = format!("#{name}=");
                assert!(lines.iter().any(|line| line.starts_with(&start)), "{start}");
            }
        }
    }
}

#[test]
fn the_example_file_has_no_line_for_what_is_no_setting() {
    let example = include_str!("../../../../.env.example");
    let declared = declared();
    let names = example.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix('#')?.split_once('=')?;
        (!name.contains(' ')).then_some(name)
    });
    let mut settings: Vec<_> = names.filter(|name| *name != "RUST_LOG").collect();
    settings.retain(|name| !declared.iter().any(|(setting, _)| setting == name));
    assert!(settings.is_empty(), "{settings:?}");
}
