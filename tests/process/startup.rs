//! Settings: their sources, and the messages about faults.

use std::fs;
use std::path::Path;

use crate::child::{Registry, folder, peer, refused, refused_for_now, run};
use crate::database;

/// Starts, registers a peer, and returns the interval that the answer names.
async fn interval_secs(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> u64 {
    let mut registry = Registry::start_with(folder, args, env).await;
    let answer = registry.register(&peer("a")).await;
    registry.stop().await;
    answer["heartbeatIntervalSecs"].as_u64().unwrap()
}

#[track_caller]
fn assert_one_line(message: &str) {
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("peer-registry: "), "{message}");
    let is_sentence = message.trim_end().ends_with('.');
    assert!(!is_sentence, "messages end without a period: {message}");
}

#[tokio::test]
async fn a_heartbeat_interval_over_half_the_timeout_stops_the_start() {
    let folder = folder();
    let args = ["--peer-timeout-secs=100", "--heartbeat-interval-secs=51"];
    let parts = ["HEARTBEAT_INTERVAL_SECS", "PEER_TIMEOUT_SECS", "50", "51"];
    assert_one_line(&refused(folder.path(), &args, &[], &parts).await);
    let env = [("PEER_TIMEOUT_SECS", "100")];
    assert_one_line(&refused(folder.path(), &[], &env, &parts[..2]).await);
}

#[tokio::test]
async fn a_port_in_use_stops_the_start_and_creates_no_database() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let folder = folder();
    let args = [format!("--listen-addr={addr}")];
    let parts = ["LISTEN_ADDR", &addr];
    let message = refused_for_now(folder.path(), &[&args[0]], &[], &parts).await;
    assert_one_line(&message);
}

#[tokio::test]
async fn an_address_of_another_machine_stops_the_start() {
    let folder = folder();
    let args = ["--listen-addr=192.0.2.1:3000"];
    let parts = ["LISTEN_ADDR", "192.0.2.1:3000"];
    assert_one_line(&refused_for_now(folder.path(), &args, &[], &parts).await);
}

#[tokio::test]
async fn an_unknown_policy_stops_the_start() {
    let folder = folder();
    let env = [("ADDRESS_POLICY", "Any")];
    let parts = ["ADDRESS_POLICY", "crypto-ipv6 or any", "\"Any\""];
    assert_one_line(&refused(folder.path(), &[], &env, &parts).await);
}

#[tokio::test]
async fn a_malformed_number_stops_the_start_and_is_shown_on_one_line() {
    let folder = folder();
    for text in [
        "",
        "ten",
        "-1",
        "1.5",
        "10s",
        "99999999999999999999",
        "1\n2",
        "0",
    ] {
        let parts = ["MAX_LISTED", "whole number from 1 to"];
        let env = [("MAX_LISTED", text)];
        assert_one_line(&refused(folder.path(), &[], &env, &parts).await);
    }
    for name in [
        "PEER_TIMEOUT_SECS",
        "HEARTBEAT_INTERVAL_SECS",
        "CLEANUP_INTERVAL_SECS",
        "MAX_PEERS",
        "MAX_BODY_BYTES",
        "MAX_LISTED",
        "HTTP_WORKERS",
        "MAX_IN_FLIGHT",
        "MAX_CONNECTIONS",
        "SHUTDOWN_TIMEOUT_SECS",
        "MAX_PEER_ID_CHARS",
        "MAX_ADDRESSES",
        "MAX_ADDRESS_BYTES",
        "MAX_STORES",
        "MAX_STORE_BYTES",
        "MAX_STRING_BYTES",
        "MAX_CAPABILITIES_BYTES",
        "MAX_TURN_CAPACITY",
    ] {
        let env = [(name, "many")];
        assert_one_line(&refused(folder.path(), &[], &env, &[name, "\"many\""]).await);
    }
}

#[tokio::test]
async fn a_log_level_that_does_not_exist_stops_the_start() {
    let folder = folder();
    let env = [("RUST_LOG", "peer_registry=loud")];
    let parts = ["RUST_LOG", "peer_registry=loud"];
    assert_one_line(&refused(folder.path(), &[], &env, &parts).await);
}

#[tokio::test]
async fn several_faults_are_reported_at_once() {
    let folder = folder();
    let args = ["--listen-addr=localhost:3000", "--max-peers=0"];
    let env = [("ADDRESS_POLICY", "open"), ("PEER_TIMEOUT_SECS", "ten")];
    let names = [
        "LISTEN_ADDR",
        "MAX_PEERS",
        "ADDRESS_POLICY",
        "PEER_TIMEOUT_SECS",
    ];
    let message = refused(folder.path(), &args, &env, &names).await;
    assert_eq!(message.lines().count(), names.len(), "{message}");
}

#[tokio::test]
async fn a_database_url_is_checked_along_with_the_other_settings() {
    let folder = folder();
    let env = [
        ("ADDRESS_POLICY", "open"),
        ("DATABASE_URL", "postgres://host/db"),
    ];
    let parts = ["ADDRESS_POLICY", "DATABASE_URL"];
    refused(folder.path(), &[], &env, &parts).await;
}

#[tokio::test]
async fn an_interval_over_half_the_timeout_is_reported_along_with_other_faults() {
    let folder = folder();
    let args = ["--max-peers=0", "--heartbeat-interval-secs=301"];
    let parts = ["MAX_PEERS", "HEARTBEAT_INTERVAL_SECS"];
    refused(folder.path(), &args, &[], &parts).await;
}

#[tokio::test]
async fn an_unknown_flag_stops_the_start() {
    let folder = folder();
    refused(
        folder.path(),
        &["--peer-timeout=5"],
        &[],
        &["'--peer-timeout'"],
    )
    .await;
    refused(folder.path(), &["peers.db"], &[], &["'peers.db'"]).await;
}

#[tokio::test]
async fn a_database_url_that_names_no_sqlite_file_stops_the_start() {
    let folder = folder();
    for url in [
        "",
        "peers.db",
        "postgres://localhost/peers",
        "sqlite:",
        "sqlite://",
        "sqlite::memory:",
        "sqlite://:memory:",
        "sqlite://peers.db?what=ever",
    ] {
        let env = [("DATABASE_URL", url)];
        let message = refused(folder.path(), &[], &env, &["DATABASE_URL"]).await;
        assert_one_line(&message);
    }
}

#[tokio::test]
async fn a_database_url_that_asks_for_memory_stops_the_start() {
    let folder = folder();
    let env = [("DATABASE_URL", "sqlite://peers.db?mode=memory")];
    refused(folder.path(), &[], &env, &["DATABASE_URL"]).await;
}

#[tokio::test]
async fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let folder = folder();
    let env = [("HEARTBEAT_INTERVAL_SECS", "90")];
    let args = ["--heartbeat-interval-secs=80"];
    assert_eq!(interval_secs(folder.path(), &[], &[]).await, 120);
    fs::write(folder.path().join(".env"), "HEARTBEAT_INTERVAL_SECS=100\n").unwrap();
    assert_eq!(interval_secs(folder.path(), &[], &[]).await, 100);
    assert_eq!(interval_secs(folder.path(), &[], &env).await, 90);
    assert_eq!(interval_secs(folder.path(), &args, &env).await, 80);
    assert_eq!(interval_secs(folder.path(), &args, &[]).await, 80);
}

#[tokio::test]
async fn a_fault_in_the_environment_is_ignored_if_a_flag_overrides_it() {
    let folder = folder();
    let env = [("HEARTBEAT_INTERVAL_SECS", "often")];
    let args = ["--heartbeat-interval-secs=80"];
    assert_eq!(interval_secs(folder.path(), &args, &env).await, 80);
}

#[tokio::test]
async fn a_malformed_env_file_stops_the_start() {
    let folder = folder();
    fs::write(
        folder.path().join(".env"),
        "MAX_PEERS=10\nTURN_SHARED_SECRET=it is secret\n",
    )
    .unwrap();
    let message = refused(folder.path(), &[], &[], &[".env", "NAME=VALUE", "quotes"]).await;
    assert_one_line(&message);
    assert!(!message.contains("secret"), "{message}");
}

#[tokio::test]
async fn an_env_file_that_cannot_be_read_stops_the_start() {
    let folder = folder();
    fs::write(folder.path().join(".env"), b"MAX_PEERS=\xff\xfe\n").unwrap();
    assert_one_line(&refused(folder.path(), &[], &[], &[".env"]).await);
}

#[tokio::test]
async fn a_fault_in_the_env_file_is_named_like_any_other() {
    let folder = folder();
    fs::write(folder.path().join(".env"), "MAX_PEERS=lots\n").unwrap();
    assert_one_line(&refused(folder.path(), &[], &[], &["MAX_PEERS", "\"lots\""]).await);
}

#[tokio::test]
async fn help_and_version_end_with_0() {
    let folder = folder();
    let help = run(folder.path(), &["--help"], &[]).await;
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for part in ["--listen-addr", "DATABASE_URL", "RUST_LOG", "default: 600"] {
        assert!(help.stdout.contains(part), "{part} in {}", help.stdout);
    }
    let version = run(folder.path(), &["--version"], &[]).await;
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    let expected = format!("peer-registry {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.stdout, expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_folder_of_the_database_is_created_on_the_first_start() {
    let folder = folder();
    let args = ["--database-url=sqlite://var/lib/registry/nodes.db"];
    let mut registry = Registry::start(folder.path(), &args).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    assert!(folder.path().join("var/lib/registry/nodes.db").is_file());
    let registry = Registry::start(folder.path(), &args).await;
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[tokio::test]
async fn the_log_at_the_start_has_the_settings_and_the_state_of_the_database() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.line("credited an outage of 0 s").await;
    registry.register(&peer("a")).await;
    registry.register(&peer("b")).await;
    registry.register(&peer("c")).await;
    registry.stop().await;
    let mut operator = database::open_in(folder.path()).await;
    // Simulates an hour of outage, and a peer whose lease ended long before.
    let hour_ago = "UPDATE registry_state SET alive_at = alive_at - 3600000";
    database::execute(&mut operator, hour_ago).await;
    let silent = "UPDATE peers SET last_seen = last_seen - 3600000 * (1 + (peer_id = 'c'))";
    database::execute(&mut operator, silent).await;
    drop(operator);

    let args = [
        "--peer-timeout-secs=500",
        "--heartbeat-interval-secs=77",
        "--cleanup-interval-secs=333",
        "--address-policy=any",
        "--max-peers=4321",
        "--max-memory-mb=77",
        "--max-in-flight=78",
        "--max-connections=79",
        "--max-connections-per-address=80",
        "--max-head-bytes=8181",
        "--max-body-bytes=8282",
        "--max-response-bytes=88383",
        "--max-listed=84",
        "--response-timeout-secs=85",
        "--max-allocations-per-minute=86",
        "--max-ended-sessions=87",
        "--max-ended-sessions-per-peer=88",
    ];
    let registry = Registry::start(folder.path(), &args).await;
    registry.line("last alive at").await;
    let block = registry.lines().join("\n");
    let addr = format!("listening on http://{}", registry.addr);
    let version = format!("peer-registry {}", env!("CARGO_PKG_VERSION"));
    for part in [
        version.as_str(),
        addr.as_str(),
        "peers.db",
        "timeout 500 s",
        "heartbeat every 77 s",
        "cleanup every 333 s",
        "address policy any",
        "loaded 2 peers, 2 of them active, at most 4321",
        "removed 1 peers whose leases had run out",
        "credited an outage of 36",
        "4321 peers in 77 MiB, 78 requests at a time, 79 connections, 80 from one address",
        "8181 bytes of a head, 8282 of a body, 88383 of a listing; 84 peers on a page; 85 s",
        "86 new TURN sessions of a peer in a minute; 87 ended ones kept, 88 of one peer",
    ] {
        assert!(block.contains(part), "{part} in {block}");
    }
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
}
