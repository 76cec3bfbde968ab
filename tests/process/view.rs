//! What an operator sees in the `sqlite3` shell.

use std::fs;
use std::path::Path;

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::child::{Registry, folder, peer};
use crate::database;

/// A row of the view `active_peers`.
#[derive(Debug)]
struct Seen {
    peer_id: String,
    last_seen_utc: String,
    registered_utc: String,
    lease_secs_left: i64,
    network_id: Option<String>,
}

async fn view(database: &mut SqliteConnection) -> Vec<Seen> {
    let rows = sqlx::query("SELECT * FROM active_peers")
        .fetch_all(database)
        .await
        .unwrap();
    rows.iter()
        .map(|row| Seen {
            peer_id: row.get("peer_id"),
            last_seen_utc: row.get("last_seen_utc"),
            registered_utc: row.get("registered_utc"),
            lease_secs_left: row.get("lease_secs_left"),
            network_id: row.get("network_id"),
        })
        .collect()
}

async fn view_ids(folder: &Path) -> Vec<String> {
    let mut operator = database::open_in(folder).await;
    let seen = view(&mut operator).await;
    seen.into_iter().map(|seen| seen.peer_id).collect()
}

#[tokio::test]
async fn the_view_shows_the_active_peers_with_readable_times_while_the_server_runs() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("b")).await;
    let mut body = peer("a");
    body["networkId"] = json!("mainnet");
    let answer = registry.register(&body).await;
    let mut operator = database::open_in(folder.path()).await;
    let seen = view(&mut operator).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((&*seen[0].peer_id, &*seen[1].peer_id), ("a", "b"));
    assert_eq!(seen[0].network_id.as_deref(), Some("mainnet"));
    // The timestamp is when the lease was renewed, as 2026-11-23T21:09:43.120Z.
    let renewed = answer["timestamp"].as_str().unwrap()[..19].replace('T', " ");
    assert_eq!(seen[0].last_seen_utc, renewed);
    assert_eq!(seen[0].registered_utc, renewed);
    for seen in &seen {
        assert!((500..=600).contains(&seen.lease_secs_left), "{seen:?}");
    }

    let silent = "UPDATE peers SET last_seen = last_seen - 601000 WHERE peer_id = 'b'";
    assert_eq!(database::execute(&mut operator, silent).await, 1);
    assert_eq!(view_ids(folder.path()).await, ["a"]);
    // The server notices what the operator did with its next write.
    registry.register(&peer("c")).await;
    assert_eq!(registry.listed_ids().await, ["a", "c"]);
    assert_eq!(view_ids(folder.path()).await, ["a", "c"]);
}

#[tokio::test]
async fn the_view_shows_the_peers_as_they_stood_when_the_server_stopped() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    for id in ["fresh", "late", "silent"] {
        registry.register(&peer(id)).await;
    }
    registry.stop().await;
    // A copy, as if the server had stopped two hours ago, a day after it had been down for an hour
    // within the leases of two of the peers.
    let copy = self::folder();
    let path = copy.path().join("peers.db");
    fs::copy(folder.path().join("peers.db"), &path).unwrap();
    let mut operator = database::open(&path).await;
    for statement in [
        "UPDATE registry_state SET alive_at = alive_at - 7200000",
        "UPDATE peers SET last_seen = (SELECT alive_at FROM registry_state)",
        "INSERT INTO outages SELECT alive_at - 3700000, alive_at - 100000 FROM registry_state",
        // 100 s + 400 s of up-time ago.
        "UPDATE peers SET last_seen = last_seen - 3700000 - 400000 WHERE peer_id = 'late'",
        // 100 s + 550 s of up-time ago.
        "UPDATE peers SET last_seen = last_seen - 3700000 - 550000 WHERE peer_id = 'silent'",
    ] {
        assert!(database::execute(&mut operator, statement).await > 0);
    }
    let seen = view(&mut operator).await;
    let left: Vec<_> = seen
        .iter()
        .map(|seen| (seen.peer_id.as_str(), seen.lease_secs_left))
        .collect();
    assert_eq!(left, [("fresh", 600), ("late", 100)]);
    sqlx::Connection::close(operator).await.unwrap();

    let registry = Registry::start(copy.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["fresh", "late"]);
    assert_eq!(view_ids(copy.path()).await, ["fresh", "late"]);
}

#[tokio::test]
async fn the_view_says_the_same_after_kill_nine() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.register(&peer("b")).await;
    registry.kill_nine().await;
    assert_eq!(view_ids(folder.path()).await, ["a", "b"]);
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
}
