//! Files of the database that are overwritten where they lie, under the same inode.
//!
//! The registry writes all acknowledged data from memory to a new file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::child::{Registry, folder, peer, soon, turn_server};
use crate::database;
use crate::files::{rescued, start_from};

/// Runs one statement as an operator does, through SQLite.
async fn as_operator(folder: &Path, statement: &'static str) {
    let mut operator = database::open_in(folder).await;
    database::execute(&mut operator, statement).await;
    operator.close().await.unwrap();
}

/// Registers "a", makes the copy `backup.db`, and registers "b".
async fn start_with_backup(folder: &Path) -> Registry {
    let registry = Registry::start(folder, &[]).await;
    registry.register(&peer("a")).await;
    as_operator(folder, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    fs::copy(folder.join("peers.db"), folder.join("backup.db")).unwrap();
    registry.register(&peer("b")).await;
    registry
}

/// Writes `bytes` into a file, which keeps its inode and its length.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// Waits for the rescue, and checks that a start from the new file lists `ids`.
async fn assert_rescued(mut registry: Registry, folder: &Path, deed: &str, ids: &[&str]) {
    let path = soon("a rescue", rescued(&mut registry, folder)).await;
    let said = registry.lines().join("\n");
    assert!(said.contains(deed), "{said}");
    let registry = start_from(folder, &path).await;
    assert_eq!(registry.listed_ids().await, ids);
    // The new file accepts writes, and a second start.
    registry.register(&peer("new")).await;
    let (status, answer) = registry.post("/heartbeat", &json!({ "peerId": "a" })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// Registers until the registry refuses; returns the ids that it acknowledged.
async fn register_until_refused(registry: &Registry) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let refused = async {
        for number in 0.. {
            let id = format!("later-{number}");
            let request = registry
                .client
                .post(format!("http://{}/register", registry.addr));
            match request.json(&peer(&id)).send().await {
                Ok(response) if response.status() == StatusCode::OK => acknowledged.push(id),
                _ => break,
            }
        }
    };
    soon("a refusal", refused).await;
    acknowledged
}

#[tokio::test]
async fn a_database_emptied_while_the_registry_runs_is_written_from_memory() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    File::create(folder.path().join("peers.db")).unwrap();
    assert_rescued(registry, folder.path(), "emptied", &["a", "b"]).await;
}

#[tokio::test]
async fn an_older_copy_over_the_database_is_not_taken_for_an_edit() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    as_operator(folder.path(), "PRAGMA wal_checkpoint(TRUNCATE)").await;
    fs::copy(
        folder.path().join("backup.db"),
        folder.path().join("peers.db"),
    )
    .unwrap();
    assert_rescued(registry, folder.path(), "older copy", &["a", "b"]).await;
}

#[tokio::test]
async fn a_backup_copied_over_the_database_before_its_log_is_deleted_costs_nothing_known() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    let path = |name: &str| folder.path().join(name);
    let mut operator = database::open_in(folder.path()).await;
    sqlx::query("VACUUM INTO ?")
        .bind(path("vacuumed.db").to_str().unwrap())
        .execute(&mut operator)
        .await
        .unwrap();
    operator.close().await.unwrap();
    registry.register(&peer("c")).await;
    fs::copy(path("vacuumed.db"), path("peers.db")).unwrap();
    fs::remove_file(path("peers.db-wal")).unwrap();
    fs::remove_file(path("peers.db-shm")).unwrap();
    // A check of the files may fall between any two of these steps, so the log may name any of them.
    assert_rescued(registry, folder.path(), "saved to", &["a", "b", "c"]).await;
}

#[tokio::test]
async fn what_is_acknowledged_until_the_loss_is_noticed_is_rescued_too() {
    let folder = folder();
    let mut registry = start_with_backup(folder.path()).await;
    File::create(folder.path().join("peers.db-wal")).unwrap();
    let mut ids = register_until_refused(&registry).await;
    ids.extend(["a".to_owned(), "b".to_owned()]);
    ids.sort_unstable();
    let path = soon("a rescue", rescued(&mut registry, folder.path())).await;
    let registry = start_from(folder.path(), &path).await;
    assert_eq!(registry.listed_ids().await, ids);
}

#[tokio::test]
async fn a_log_emptied_while_nobody_writes_is_noticed() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    File::create(folder.path().join("peers.db-wal")).unwrap();
    assert_rescued(registry, folder.path(), "peers.db-wal", &["a", "b"]).await;
}

#[tokio::test]
async fn a_log_with_an_overwritten_header_is_noticed() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    overwrite(&folder.path().join("peers.db-wal"), 0, &[0xa5; 32]);
    assert_rescued(registry, folder.path(), "peers.db-wal", &["a", "b"]).await;
}

#[tokio::test]
async fn a_log_that_is_garbled_anywhere_is_noticed_before_it_is_moved_into_the_file() {
    let folder = folder();
    // The log is moved into the file every tenth of the timeout.
    let args = ["--peer-timeout-secs=30", "--heartbeat-interval-secs=10"];
    let registry = Registry::start(folder.path(), &args).await;
    for id in ["a", "b", "c"] {
        registry.register(&peer(id)).await;
    }
    // The page of the first frame; the log has begun anew since the start.
    overwrite(&folder.path().join("peers.db-wal"), 100, &[0xa5; 8]);
    assert_rescued(registry, folder.path(), "peers.db-wal", &["a", "b", "c"]).await;
}

#[tokio::test]
async fn random_bytes_over_the_beginning_of_the_database_are_noticed() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    overwrite(&folder.path().join("peers.db"), 0, &[0xa5; 8192]);
    assert_rescued(registry, folder.path(), "overwritten", &["a", "b"]).await;
}

#[tokio::test]
async fn a_database_cut_short_while_the_registry_runs_is_noticed() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    as_operator(folder.path(), "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let file = File::options()
        .write(true)
        .open(folder.path().join("peers.db"));
    file.unwrap().set_len(8192).unwrap();
    assert_rescued(registry, folder.path(), "while the", &["a", "b"]).await;
}

#[tokio::test]
async fn damage_that_a_read_meets_is_an_emergency() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    as_operator(folder.path(), "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let mut operator = database::open_in(folder.path()).await;
    let query = "SELECT rootpage FROM sqlite_schema WHERE name = 'peers'";
    let root: i64 = sqlx::query_scalar(query)
        .fetch_one(&mut operator)
        .await
        .unwrap();
    let at = (root as u64 - 1) * 4096;
    overwrite(&folder.path().join("peers.db"), at, &[0xa5; 4096]);
    // Makes the registry read what it has in its cache.
    database::execute(
        &mut operator,
        "INSERT INTO peer_tiers VALUES ('x', 'basic')",
    )
    .await;
    register_until_refused(&registry).await;
    assert_rescued(registry, folder.path(), "was damaged", &["a", "b"]).await;
}

#[tokio::test]
async fn a_backup_restored_through_sqlite_is_not_taken_for_an_edit() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    // As `.restore` leaves it: every row and number as it was then.
    let mut operator = database::open_in(folder.path()).await;
    let restore = "BEGIN; DELETE FROM peers WHERE peer_id = 'b';
                   UPDATE registry_state SET batch = batch - 1; COMMIT";
    sqlx::raw_sql(restore).execute(&mut operator).await.unwrap();
    register_until_refused(&registry).await;
    assert_rescued(registry, folder.path(), "older copy", &["a", "b"]).await;
}

#[tokio::test]
async fn a_backup_of_an_earlier_version_restored_through_sqlite_is_written_from_memory() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    as_operator(
        folder.path(),
        "ALTER TABLE registry_state DROP COLUMN batch",
    )
    .await;
    register_until_refused(&registry).await;
    assert_rescued(registry, folder.path(), "older copy", &["a", "b"]).await;
}

#[tokio::test]
async fn a_dropped_table_of_peers_is_written_from_memory() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    as_operator(folder.path(), "DROP TABLE peers").await;
    register_until_refused(&registry).await;
    assert_rescued(registry, folder.path(), "without its table", &["a", "b"]).await;
}

#[tokio::test]
async fn health_says_so_as_soon_as_a_loss_is_noticed() {
    let folder = folder();
    let mut registry = start_with_backup(folder.path()).await;
    as_operator(folder.path(), "DROP TABLE peers").await;
    let (status, _) = registry.post("/register", &peer("c")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // The process may have ended by now.
    let health = registry
        .client
        .get(format!("http://{}/health", registry.addr));
    if let Ok(response) = health.send().await {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    rescued(&mut registry, folder.path()).await;
}

/// Everything that listings show of peers, and of the sessions on a TURN server.
async fn all_shown(registry: &Registry) -> [Value; 2] {
    let query = "/peers?includeStores=true&includeCapabilities=true";
    let (_, peers) = registry.get(query).await;
    let mut peers = peers["peers"].as_array().unwrap().clone();
    peers.sort_by_key(|peer| peer["peerId"].as_str().unwrap().to_owned());
    let (_, mut servers) = registry.get("/turn-servers").await;
    [json!(peers), servers["servers"].take()]
}

#[tokio::test]
async fn a_rescue_from_memory_has_all_that_listings_show_and_the_sessions() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&turn_server("server")).await;
    let mut rich = peer("rich");
    rich["cryptoIPv6"] = json!("fd00::1");
    rich["stores"] = json!(["one", "2f8e0d1c5b7a4f3e9d8c7b6a5f4e3d2c", "\u{fc}\"ber"]);
    rich["version"] = json!("1.2.3");
    rich["networkId"] = json!("mainnet");
    rich["bootstrapCapable"] = json!(true);
    rich["privacyMode"] = json!(true);
    rich["capabilities"] = json!({ "relay": { "depth": [1, "two", null] } });
    rich["capabilityList"] = json!([[1, "full"]]);
    registry.register(&rich).await;
    let ask = json!({ "peerId": "rich", "p2pAttempted": true });
    let (status, granted) = registry.post("/allocate-turn", &ask).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    let before = all_shown(&registry).await;
    File::create(folder.path().join("peers.db")).unwrap();
    let path = soon("a rescue", rescued(&mut registry, folder.path())).await;

    let registry = start_from(folder.path(), &path).await;
    assert_eq!(all_shown(&registry).await, before);
    let session = granted["sessionId"].as_str().unwrap_or_default();
    let release = json!({ "peerId": "rich", "sessionId": session });
    let (status, released) = registry.post("/release-turn", &release).await;
    assert_eq!(status, StatusCode::OK, "{granted} {released}");
}

#[tokio::test]
async fn edits_through_sqlite_are_not_taken_for_a_loss_of_files() {
    let folder = folder();
    let registry = start_with_backup(folder.path()).await;
    for statement in [
        "DELETE FROM peers WHERE peer_id = 'b'",
        "PRAGMA wal_checkpoint(RESTART)",
        "UPDATE peers SET version = '1'",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "VACUUM",
        "DELETE FROM registry_state",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        as_operator(folder.path(), statement).await;
        registry.register(&peer("c")).await;
    }
    let path = folder.path().join("peers.db");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    // The check of the files has passed before this line is logged.
    fs::hard_link(&path, folder.path().join("link.db")).unwrap();
    registry.line("hard links").await;
    assert_eq!(registry.listed_ids().await, ["a", "c"]);
}
