//! Tables that an operator, or a bad script, has dropped: they are created anew, and no peer loses
//! its place.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

use crate::child::{Registry, folder, peer, turn_server};
use crate::database;

const TABLES: [&str; 8] = [
    "_sqlx_migrations",
    "registry_state",
    "outages",
    "turn_sessions",
    "peer_tiers",
    "traffic_days",
    "cost_state",
    "peers_quarantine",
];

async fn drop_tables(folder: &Path, tables: &[&str]) {
    let mut operator = database::open_in(folder).await;
    for table in tables {
        let statement = format!("DROP TABLE {table}");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut operator)
            .await
            .unwrap();
    }
    operator.close().await.unwrap();
}

async fn assert_named(registry: &Registry, table: &str) {
    registry
        .line(&format!("the table {table} was missing"))
        .await;
}

#[tokio::test]
async fn tables_dropped_between_two_runs_are_created_anew() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    for table in TABLES {
        drop_tables(folder.path(), &[table]).await;
        let mut registry = Registry::start(folder.path(), &[]).await;
        assert_named(&registry, table).await;
        assert_eq!(registry.listed_ids().await, ["a"], "{table}");
        registry.register(&peer("a")).await;
        registry.stop().await;
    }
}

#[tokio::test]
async fn tables_dropped_while_the_registry_runs_are_created_anew_with_what_was_in_them() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&turn_server("server")).await;
    registry.register(&peer("a")).await;
    let ask = json!({ "peerId": "a", "p2pAttempted": true });
    let (status, granted) = registry.post("/allocate-turn", &ask).await;
    assert_eq!(status, StatusCode::OK, "{granted}");
    drop_tables(folder.path(), &TABLES).await;

    registry.register(&peer("b")).await;
    for table in TABLES {
        assert_named(&registry, table).await;
    }
    registry.kill_nine().await;
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a", "b", "server"]);
    let release = json!({ "peerId": "a", "sessionId": granted["sessionId"] });
    let (status, released) = registry.post("/release-turn", &release).await;
    assert_eq!(status, StatusCode::OK, "{released}");
}

#[tokio::test]
async fn outages_dropped_while_the_registry_runs_are_on_disk_again() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.kill_nine().await;
    let registry = Registry::start(folder.path(), &[]).await;
    let outages = async || {
        let mut operator = database::open_in(folder.path()).await;
        let query = "SELECT started_at || '-' || ended_at FROM outages ORDER BY started_at";
        let outages: Vec<String> = sqlx::query_scalar(query)
            .fetch_all(&mut operator)
            .await
            .unwrap();
        operator.close().await.unwrap();
        outages
    };
    let before = outages().await;
    assert_ne!(before, [""; 0]);
    drop_tables(folder.path(), &["outages"]).await;
    registry.register(&peer("a")).await;
    assert_eq!(outages().await, before);
}

#[tokio::test]
async fn without_the_last_sign_of_life_no_peer_expires_by_an_outage() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.register(&peer("b")).await;
    registry.stop().await;
    let mut operator = database::open_in(folder.path()).await;
    // As if it had stopped an hour ago.
    database::execute(
        &mut operator,
        "UPDATE peers SET last_seen = last_seen - 3600000",
    )
    .await;
    operator.close().await.unwrap();
    drop_tables(folder.path(), &["registry_state", "outages"]).await;
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
}
