//! A row that cannot be read is moved to the quarantine and affects no other peer.

use std::path::Path;

use serde_json::Value;
use sqlx::Row;

use crate::child::{Registry, folder, peer};
use crate::database;

/// What an operator can do to a row, with the checks of its table turned off.
const SPOILT: [(&str, &str); 9] = [
    (
        "addresses",
        "UPDATE peers SET addresses = '[1, 2]' WHERE peer_id = 'addresses'",
    ),
    (
        "stores",
        "UPDATE peers SET stores = '[null]' WHERE peer_id = 'stores'",
    ),
    (
        "text",
        "UPDATE peers SET version = CAST(x'ff00fe' AS TEXT) WHERE peer_id = 'text'",
    ),
    (
        "json",
        "UPDATE peers SET capabilities = '{' WHERE peer_id = 'json'",
    ),
    (
        "id",
        "UPDATE peers SET id = 9007199254740992 WHERE peer_id = 'id'",
    ),
    (
        "far",
        "UPDATE peers SET id = 9223372036854775807 WHERE peer_id = 'far'",
    ),
    (
        "name",
        "UPDATE peers SET peer_id = 'na' || char(10) || 'me' WHERE peer_id = 'name'",
    ),
    (
        "turn",
        "UPDATE peers SET turn_port = 1 WHERE peer_id = 'turn'",
    ),
    (
        "port",
        "UPDATE peers SET server_port = 70000 WHERE peer_id = 'port'",
    ),
];

async fn spoil(folder: &Path, statements: &[&'static str]) {
    let mut operator = database::open_in(folder).await;
    database::execute(&mut operator, "PRAGMA ignore_check_constraints = ON").await;
    for statement in statements {
        let rows = database::execute(&mut operator, statement).await;
        assert!(rows > 0, "{statement}");
    }
    sqlx::Connection::close(operator).await.unwrap();
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_set_aside_and_affect_no_other_peer() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    for (id, _) in SPOILT {
        registry.register(&peer(id)).await;
    }
    registry.register(&peer("good")).await;
    registry.stop().await;
    spoil(folder.path(), &SPOILT.map(|(_, statement)| statement)).await;

    let registry = Registry::start(folder.path(), &[]).await;
    registry.line("set aside rows=9").await;
    assert_eq!(registry.listed_ids().await, ["good"]);
    registry.register(&peer("new")).await;
    // A peer whose row was set aside registers again without help.
    for (id, _) in SPOILT {
        registry.register(&peer(id)).await;
    }
    assert_eq!(registry.listed().await.len(), 2 + SPOILT.len());
    let mut operator = database::open_in(folder.path()).await;
    let kept = sqlx::query(
        "SELECT source, CAST(row AS BLOB), reason FROM peers_quarantine WHERE set_aside_at > 0",
    )
    .fetch_all(&mut operator)
    .await
    .unwrap();
    assert_eq!(kept.len(), SPOILT.len());
    for row in kept {
        assert_eq!(row.get::<String, _>(0), "peers");
        let text = String::from_utf8_lossy(row.get(1)).into_owned();
        let whole: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert!(whole["last_seen"].is_i64(), "{text}");
        assert_ne!(row.get::<String, _>(2), "", "{text}");
    }
}

#[tokio::test]
async fn a_row_corrupted_while_the_registry_runs_stops_no_write() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    for id in ["addresses", "good"] {
        registry.register(&peer(id)).await;
    }
    spoil(folder.path(), &[SPOILT[0].1]).await;
    registry.register(&peer("new")).await;
    registry.line("set aside a row").await;
    assert_eq!(registry.listed_ids().await, ["good", "new"]);
}

#[tokio::test]
async fn absurd_values_in_the_other_tables_stop_no_start() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    let session = "INSERT INTO turn_sessions VALUES
        ('far', 'a', 'b', 'free', 100000, 0, 253402300799999, 0, 0, NULL, 0, 0),
        ('bytes', 'a', 'b', 'free', 1, 0, 1, 0, 9223372036854775807, NULL, 0, 0),
        ('tier', 'a', 'b', 'gold', 1, 0, 1, 0, 0, NULL, 0, 0),
        ('mbps', 'a', 'b', 'free', -5, 0, 1, 0, 0, NULL, 0, 0),
        ('order', 'a', 'b', 'free', 1, 9, 1, 0, 0, NULL, 0, 0)";
    let absurd = [
        session,
        "INSERT INTO peer_tiers VALUES ('a', 'gold'), (char(10), 'free')",
        "INSERT INTO traffic_days VALUES ('soon', 1, 1), ('9999-01-01', -1, 1)",
        "INSERT OR REPLACE INTO cost_state VALUES (1, 'normal', 9223372036854775807, 9e999, 1, 1, NULL, NULL)",
        "INSERT INTO outages VALUES (1, 9223372036854775807), (5, 3),
            (-9223372036854775808, -9223372036854775807)",
    ];
    spoil(folder.path(), &absurd).await;

    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.line("set aside rows=10").await;
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.register(&peer("b")).await;
    registry.stop().await;
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
}

#[tokio::test]
async fn a_lease_from_the_future_begins_now() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    spoil(
        folder.path(),
        &["UPDATE peers SET last_seen = 9223372036854775807"],
    )
    .await;

    let registry = Registry::start(folder.path(), &[]).await;
    let answer = registry.register(&peer("b")).await;
    let seen = registry.listed().await[0]["lastSeen"].as_i64().unwrap();
    assert!(seen <= answer["lastSeen"].as_i64().unwrap());
}

#[tokio::test]
async fn a_trigger_that_refuses_every_new_row_shows_in_health() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON peers BEGIN SELECT RAISE(ABORT, 'no'); END";
    spoil_schema(folder.path(), refuse).await;
    for id in ["b", "b", "b", "c", "d"] {
        let (status, health) = registry.get("/health").await;
        assert_eq!(
            (status.as_u16(), &health["status"]),
            (200, &Value::from("healthy"))
        );
        let (status, _) = registry.post("/register", &peer(id)).await;
        assert_eq!(status.as_u16(), 503);
    }
    let (status, health) = registry.get("/health").await;
    // Peers that are registered keep their places.
    assert_eq!(
        (status.as_u16(), &health["status"]),
        (200, &Value::from("degraded"))
    );
    let beat = serde_json::json!({ "peerId": "a" });
    let (status, _) = registry.post("/heartbeat", &beat).await;
    assert_eq!(status.as_u16(), 200);

    spoil_schema(folder.path(), "DROP TRIGGER refuse").await;
    registry.register(&peer("b")).await;
    let (_, health) = registry.get("/health").await;
    assert_eq!(health["status"], "healthy");
}

async fn spoil_schema(folder: &Path, statement: &'static str) {
    let mut operator = database::open_in(folder).await;
    database::execute(&mut operator, statement).await;
    sqlx::Connection::close(operator).await.unwrap();
}
