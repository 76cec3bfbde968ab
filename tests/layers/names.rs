//! Which layer may name what.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        if folder.is_file() {
            found.push((folder.clone(), fs::read_to_string(&folder).unwrap()));
            continue;
        }
        for entry in fs::read_dir(&folder).unwrap() {
            folders.push(entry.unwrap().path());
        }
    }
    assert!(!found.is_empty(), "no sources");
    found
}

/// Checks that no line of code below `folder` contains any of `words`.
fn assert_never_names(folder: &str, words: &[&str]) {
    for (path, text) in sources(folder) {
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") {
                continue;
            }
            for word in words {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn http_names_neither_sqlx_nor_storage() {
    assert_never_names("server/http", &["sqlx", "storage::", "::storage"]);
}

#[test]
fn registry_names_neither_a_status_code_nor_sql_nor_a_layer_above_it() {
    let words = [
        "actix_web",
        "StatusCode",
        "sqlx",
        "SELECT ",
        "UPDATE ",
        "server::http",
    ];
    assert_never_names("server/registry", &words);
}

#[test]
fn storage_names_nothing_above_it() {
    let words = ["actix", "StatusCode", "server::registry", "server::http"];
    assert_never_names("server/storage", &words);
}

#[test]
fn storage_and_policy_are_siblings() {
    for (path, text) in sources("server/storage") {
        // A test of both continues leases over many starts.
        let is_exempt = path.ends_with("storage/store/tests.rs");
        let names_policy = text.contains("server::policy");
        assert!(is_exempt || !names_policy, "{}", path.display());
    }
}

#[test]
fn policy_is_pure() {
    let words = [
        "clock",
        "std::fs",
        "std::net::Tcp",
        "tokio",
        "actix",
        "sqlx",
        "async ",
        "server::storage",
        "server::registry",
        "server::http",
        "rand::",
    ];
    assert_never_names("server/policy", &words);
}

#[test]
fn config_and_model_import_the_protocol_only() {
    let words = [
        "server::policy",
        "server::storage",
        "server::registry",
        "server::http",
        "actix",
    ];
    assert_never_names("server/config", &words);
    assert_never_names("server/model", &words);
    assert_never_names("server/model", &["server::config"]);
}

#[test]
fn protocol_and_agent_never_name_the_server() {
    assert_never_names(
        "protocol",
        &["crate::server", "actix", "sqlx", "tokio", "std::fs"],
    );
    let words = [
        "crate::server",
        "feature = \"server\"",
        "actix",
        "sqlx",
        "anyhow",
        "env_logger",
        "stdin",
    ];
    assert_never_names("agent", &words);
}

/// The part of the agent that may read the environment: the variables that the HTTP client reads by
/// itself, to say which of them is wrong.
const AGENT_WITH_ENVIRONMENT: &str = "agent/client/proxies.rs";

#[test]
fn of_the_agent_only_the_proxies_read_the_environment() {
    for (path, text) in sources("agent") {
        let reads = ["std::env", "env::var"]
            .iter()
            .any(|word| text.contains(word));
        let is_exempt = path.ends_with(AGENT_WITH_ENVIRONMENT);
        assert_eq!(reads, is_exempt, "{}", path.display());
    }
}

#[test]
fn the_agent_waits_on_its_timer_only() {
    assert_never_names("agent", &["tokio::time", "thread::sleep", "chrono"]);
}

#[test]
fn the_decisions_of_the_agent_are_pure() {
    let words = ["clock", "tokio", "async ", "std::fs", "rand::rng()"];
    for file in ["schedule", "outcome", "terms", "pauses", "limits", "report"] {
        assert_never_names(&format!("agent/registration/{file}.rs"), &words);
    }
    for file in ["diagnosis", "finding", "wording", "advice", "code_advice"] {
        let words = ["crate::clock", "tokio", "async ", "std::fs"];
        assert_never_names(&format!("agent/doctor/{file}.rs"), &words);
    }
}

#[test]
fn only_the_clock_asks_for_the_time() {
    for (path, text) in sources("") {
        let asks = ["Utc::now(", "Instant::now(", "SystemTime::now("];
        let is_clock = path.ends_with("src/clock/system.rs");
        assert!(
            is_clock || !asks.iter().any(|ask| text.contains(ask)),
            "{}",
            path.display()
        );
    }
}
