//! A database that the registry must not use is left as it is.

use std::fs;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::child::{Registry, folder, peer, refused, refused_for_now};
use crate::database;

/// Makes `peers.db` in `folder`, with one peer in it.
async fn make_database(folder: &Path) {
    let mut registry = Registry::start(folder, &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
}

/// Makes `peers.db` in `folder`, with 3000 peers in it.
async fn make_large_database(folder: &Path) -> Vec<u8> {
    make_database(folder).await;
    let mut operator = database::open_in(folder).await;
    let rows = "
        WITH RECURSIVE counter (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counter LIMIT 3000)
        INSERT INTO peers
        SELECT n, 'peer-' || n, last_seen, registered_at, network_id, version, crypto_ipv6,
               addresses, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, stores, NULL, NULL, 0
        FROM counter, peers WHERE peer_id = 'a'";
    assert_eq!(database::execute(&mut operator, rows).await, 3000);
    database::execute(&mut operator, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    sqlx::Connection::close(operator).await.unwrap();
    let bytes = fs::read(folder.join("peers.db")).unwrap();
    assert!(bytes.len() > 50 * 4096);
    bytes
}

async fn assert_refused(folder: &Path, parts: &[&str]) {
    let message = refused(
        folder,
        &[],
        &[],
        &[&["DATABASE_URL", "peers.db"], parts].concat(),
    )
    .await;
    assert_eq!(message.lines().count(), 1, "{message}");
}

/// A start that does not wait for the lock.
const NO_WAIT: &str = "--lock-wait-secs=0";

#[tokio::test]
async fn a_database_path_below_a_file_stops_the_start() {
    let folder = folder();
    fs::write(folder.path().join("file"), "not a folder").unwrap();
    let args = ["--database-url=sqlite://file/peers.db"];
    let parts = [
        "DATABASE_URL",
        "file/peers.db",
        "cannot be opened for writing",
    ];
    refused(folder.path(), &args, &[], &parts).await;
}

#[tokio::test]
async fn a_folder_at_the_database_path_stops_the_start() {
    let folder = folder();
    fs::create_dir(folder.path().join("peers.db")).unwrap();
    assert_refused(folder.path(), &["cannot be opened for writing"]).await;
}

#[tokio::test]
async fn a_file_of_another_kind_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    let text = "dear diary, ".repeat(1000);
    fs::write(folder.path().join("peers.db"), text).unwrap();
    assert_refused(folder.path(), &["not a database of peer-registry"]).await;
    fs::write(folder.path().join("peers.db"), "short").unwrap();
    assert_refused(folder.path(), &["not a database of peer-registry"]).await;
}

async fn make_foreign_database(path: &Path, statements: &'static str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut other = options.create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql(statements).execute(&mut other).await.unwrap();
    sqlx::Connection::close(other).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_program_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    let statements = "CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')";
    make_foreign_database(&folder.path().join("peers.db"), statements).await;
    assert_refused(folder.path(), &["not a database of peer-registry"]).await;
}

#[tokio::test]
async fn a_database_of_another_program_that_uses_sqlx_too_is_left_as_it_is() {
    let folder = folder();
    let statements = "
        PRAGMA journal_mode = WAL;
        CREATE TABLE _sqlx_migrations (
            version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
            success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (1, 'recipes', 1, x'00', 0);
        CREATE TABLE recipes (name TEXT)";
    make_foreign_database(&folder.path().join("peers.db"), statements).await;
    assert_refused(folder.path(), &["not a database of peer-registry"]).await;
}

#[tokio::test]
async fn a_database_with_a_damaged_page_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    let mut bytes = make_large_database(folder.path()).await;
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(folder.path().join("peers.db"), bytes).unwrap();
    assert_refused(folder.path(), &["is damaged", "restore a backup"]).await;
}

#[tokio::test]
async fn a_database_cut_short_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    let bytes = make_large_database(folder.path()).await;
    let half = &bytes[..bytes.len() / 2 / 4096 * 4096];
    fs::write(folder.path().join("peers.db"), half).unwrap();
    assert_refused(folder.path(), &["is damaged", "restore a backup"]).await;
}

#[tokio::test]
async fn a_database_whose_schema_is_damaged_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    let mut bytes = make_large_database(folder.path()).await;
    bytes[100..4096].fill(0xa5);
    fs::write(folder.path().join("peers.db"), bytes).unwrap();
    assert_refused(folder.path(), &["is damaged", "restore a backup"]).await;
}

#[tokio::test]
async fn a_database_without_its_table_of_peers_stops_the_start() {
    let folder = folder();
    make_database(folder.path()).await;
    let mut operator = database::open_in(folder.path()).await;
    database::execute(&mut operator, "DROP TABLE peers").await;
    sqlx::Connection::close(operator).await.unwrap();
    assert_refused(folder.path(), &["is damaged", "table peers is missing"]).await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_stops_the_start_and_is_left_as_it_is() {
    let folder = folder();
    make_database(folder.path()).await;
    let mut operator = database::open_in(folder.path()).await;
    let newer = "
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9000, 'from the future', 1, x'00', 0)";
    database::execute(&mut operator, newer).await;
    sqlx::Connection::close(operator).await.unwrap();
    assert_refused(folder.path(), &["newer peer-registry", "9000"]).await;
}

#[tokio::test]
async fn a_second_registry_on_the_same_database_is_refused() {
    let folder = folder();
    let mut first = Registry::start(folder.path(), &[]).await;
    first.register(&peer("a")).await;
    let in_use = [
        "DATABASE_URL",
        "peers.db",
        "in use by another peer-registry",
    ];
    refused_for_now(folder.path(), &[NO_WAIT], &[], &in_use).await;
    let absolute = format!(
        "--database-url=sqlite://{}",
        folder.path().join("peers.db").display()
    );
    refused_for_now(folder.path(), &[&absolute, NO_WAIT], &[], &in_use).await;
    first.register(&peer("b")).await;
    assert_eq!(first.listed_ids().await, ["a", "b"]);
    first.kill_nine().await;
    let next = Registry::start(folder.path(), &[]).await;
    assert_eq!(next.listed_ids().await, ["a", "b"]);
}

#[tokio::test]
async fn a_second_registry_by_another_name_of_the_same_database_is_refused() {
    let folder = folder();
    let first = Registry::start(folder.path(), &[]).await;
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("peers.db"), link).unwrap();
    let args = ["--database-url=sqlite://link.db", NO_WAIT];
    let in_use = ["DATABASE_URL", "in use by another peer-registry"];
    refused_for_now(folder.path(), &args, &[], &in_use).await;
    drop(first);
}
