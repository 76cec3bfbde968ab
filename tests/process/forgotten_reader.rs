//! Another process that holds an old state of the database, so that its log cannot be emptied.

use sqlx::Connection;

use crate::child::{Registry, folder, peer, soon};
use crate::database;

async fn wal_bytes(registry: &Registry) -> u64 {
    let (_, health) = registry.get("/health").await;
    health["walBytes"].as_u64().unwrap()
}

#[tokio::test]
async fn a_log_that_grows_behind_a_forgotten_reader_is_warned_about_and_shown() {
    let folder = folder();
    let args = ["--wal-warning-mb=1", "--max-capabilities-bytes=65536"];
    let mut registry = Registry::start(folder.path(), &args).await;
    registry.register(&peer("a")).await;
    let mut operator = database::open_in(folder.path()).await;
    let mut reader = operator.begin().await.unwrap();
    let read = sqlx::query("SELECT count(*) FROM peers");
    read.fetch_one(&mut *reader).await.unwrap();
    for index in 0..40 {
        let mut body = peer(&format!("b{index}"));
        body["capabilities"] = serde_json::json!({ "text": "x".repeat(40_000) });
        registry.register(&body).await;
    }
    let line = registry.line("has grown to").await;
    for part in ["WARN", "peers.db-wal", "another process", "fuser"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let shown = async {
        // The server looks once a second.
        while wal_bytes(&registry).await < 1 << 20 {}
    };
    soon("the size of the log in health", shown).await;
    reader.rollback().await.unwrap();
    operator.close().await.unwrap();
    registry.stop().await;
}
