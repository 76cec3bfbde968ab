//! Faults below the registry: nothing acknowledged is lost, and the operator can see the state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use peer_registry::clock::Clock;
use peer_registry::server::{Server, Signals};
use serde_json::json;

use crate::helpers::{START_MS, TestRegistry, peer};

/// Makes every renewal fail, like a full disk, until [`MEND`].
const BREAK: &str = "CREATE TRIGGER broken BEFORE UPDATE ON peers
    BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
const MEND: &str = "DROP TRIGGER broken";

#[actix_web::test]
async fn a_failed_transaction_changes_nothing_and_the_next_one_starts_afresh() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(60);
    registry.execute(BREAK).await;
    let answer = registry.heartbeat("a").await;
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 5
    );
    answer.refused(503, "storage_unavailable");
    let listing = registry.peers("").await.ok();
    assert_eq!(listing["peers"][0]["lastSeen"], START_MS);
    let health = registry.health().await;
    assert_eq!(
        (health.status.as_u16(), &health.body["status"]),
        (503, &json!("degraded"))
    );
    registry.execute(MEND).await;
    let answer = registry.heartbeat("a").await.ok();
    assert_eq!(answer["lastSeen"], registry.now_ms());
    assert_eq!(registry.health().await.ok()["status"], "healthy");
}

#[actix_web::test]
async fn a_statement_that_touches_other_rows_than_planned_fails_its_transaction() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    let ignore = "CREATE TRIGGER broken BEFORE UPDATE ON peers
        WHEN old.peer_id = 'a' BEGIN SELECT RAISE(IGNORE); END";
    registry.execute(ignore).await;
    registry.advance_secs(60);
    let (a, b) = (
        registry.heartbeat("a").await,
        registry.register(&peer("b")).await,
    );
    a.refused(503, "storage_unavailable");
    b.ok();
    registry.execute(MEND).await;
    registry.heartbeat("a").await.ok();
}

/// Makes every commit fail, but no statement before it.
const BREAK_COMMITS: [&str; 3] = [
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TRIGGER broken AFTER UPDATE ON registry_state
     BEGIN INSERT INTO child VALUES (1); END",
];

#[actix_web::test]
async fn writes_come_back_after_commits_that_failed() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for sql in BREAK_COMMITS {
        registry.execute(sql).await;
    }
    for _ in 0..3 {
        registry.advance_secs(1);
        let answer = registry.heartbeat("a").await;
        answer.refused(503, "storage_unavailable");
    }
    let listing = registry.peers("").await.ok();
    assert_eq!(listing["peers"][0]["lastSeen"], START_MS);
    registry.execute(MEND).await;
    registry.heartbeat("a").await.ok();
    assert_eq!(registry.health().await.ok()["status"], "healthy");
}

#[actix_web::test]
async fn leases_stand_still_while_nothing_can_be_written() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.register(&peer("b")).await.ok();
    registry.advance_secs(100);
    registry.execute(BREAK).await;
    registry
        .heartbeat("a")
        .await
        .refused(503, "storage_unavailable");
    // No peer can renew for an hour, and none expires.
    registry.advance_secs(3600);
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
    registry.execute(MEND).await;
    assert_eq!(registry.heartbeat("a").await.ok()["cleanedExpiredPeers"], 0);
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
    registry.advance_secs(500);
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
    registry.advance_ms(1);
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[actix_web::test]
async fn a_row_changed_from_outside_is_noticed_at_the_next_write() {
    let registry = TestRegistry::start().await;
    for id in ["a", "b", "c"] {
        registry.register(&peer(id)).await.ok();
    }
    registry
        .execute("DELETE FROM peers WHERE peer_id = 'a'")
        .await;
    let edit = "UPDATE peers SET version = '9' WHERE peer_id = 'b'";
    registry.execute(edit).await;
    assert_eq!(registry.heartbeat("c").await.ok()["totalPeers"], 2);
    assert_eq!(registry.listed_ids().await, ["b", "c"]);
    assert_eq!(registry.peers("version=9").await.ok()["total"], 1);
    // The write that discovers the change already uses the new rows.
    registry
        .execute("DELETE FROM peers WHERE peer_id = 'b'")
        .await;
    registry.heartbeat("b").await.refused(404, "peer_not_found");
    registry.register(&peer("b")).await.ok();
    assert_eq!(registry.stored_ids().await, ["b", "c"]);
}

/// Adds a row like an operator does; SQLite chooses its `id`.
const INSERT: &str = "INSERT INTO peers (peer_id, last_seen, registered_at, addresses, stores,
        privacy_mode, bootstrap_capable, turn_capable)
    VALUES ('op', 1767225600000, 0, '[]', '[]', 0, 0, 0)";

#[actix_web::test]
async fn a_peer_whose_row_was_added_from_outside_is_accepted() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.execute(INSERT).await;
    registry.heartbeat("op").await.ok();
    assert_eq!(registry.listed_ids().await, ["a", "op"]);
}

#[actix_web::test]
async fn a_row_added_from_outside_does_not_block_a_new_peer() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.execute(INSERT).await;
    registry.register(&peer("b")).await.ok();
    assert_eq!(registry.listed_ids().await, ["a", "b", "op"]);
}

#[actix_web::test]
async fn requests_beyond_max_in_flight_are_refused_with_retry_after() {
    let registry = TestRegistry::start_with(&["--max-in-flight=1"]).await;
    registry.register(&peer("a")).await.ok();
    let answers = futures_util::future::join_all((0..64).map(|_| registry.heartbeat("a"))).await;
    let mut refused = 0;
    for answer in answers {
        if answer.status == 200 {
            continue;
        }
        refused += 1;
        assert!(answer.header("retry-after").is_some());
        answer.refused(503, "overloaded");
    }
    assert!(
        refused > 0,
        "64 heartbeats at once never met in the registry"
    );
    registry.heartbeat("a").await.ok();
}

/// A clock that works until it is armed; the next call then panics in its caller.
struct TrapClock(AtomicBool);

impl Clock for TrapClock {
    fn now_ms(&self) -> i64 {
        assert!(!self.0.swap(false, Ordering::SeqCst), "the trap is sprung");
        START_MS
    }
}

#[actix_web::test]
async fn a_panic_in_the_actor_turns_health_to_503_and_ends_the_server_with_an_error() {
    let registry = TestRegistry::start().await;
    let mut config = registry.config.clone();
    let folder = tempfile::tempdir().unwrap();
    config.database_path = folder.path().join("peers.db");
    let clock = Arc::new(TrapClock(AtomicBool::new(false)));
    let server = Server::start(&config, clock.clone()).await.unwrap();
    let url = format!("http://{}", server.addr());
    let post = |body: serde_json::Value| {
        reqwest::Client::new()
            .post(format!("{url}/register"))
            .json(&body)
            .send()
    };
    assert_eq!(post(peer("a")).await.unwrap().status(), 200);
    clock.0.store(true, Ordering::SeqCst);
    assert_eq!(post(peer("b")).await.unwrap().status(), 503);
    let health = reqwest::get(format!("{url}/health")).await.unwrap();
    assert_eq!(health.status(), 503);
    let health: serde_json::Value = health.json().await.unwrap();
    assert_eq!(health["status"], "degraded");
    let error = server.run(Signals::listen().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("actor has stopped"), "{error}");
}

#[actix_web::test]
async fn the_backup_cleanup_runs_without_any_request() {
    let registry = TestRegistry::start_with(&["--cleanup-interval-secs=1"]).await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(601);
    // The cleanup interval is real time, so this polls the table for at most a minute.
    let mut database = registry.database().await;
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(20));
    for _ in 0..3000 {
        interval.tick().await;
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM peers")
            .fetch_one(&mut database)
            .await
            .unwrap();
        if rows == 0 {
            let stats = registry.stats().await.ok();
            assert_eq!(stats["peersCleaned"], 1);
            return;
        }
    }
    panic!("the backup cleanup did not run");
}

#[actix_web::test]
async fn a_sign_of_life_is_written_without_any_request_and_removes_no_expired_peer() {
    let registry =
        TestRegistry::start_with(&["--peer-timeout-secs=1", "--heartbeat-interval-secs=1"]).await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(2);
    let mut database = registry.database().await;
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(20));
    for _ in 0..3000 {
        interval.tick().await;
        let alive_at: i64 = sqlx::query_scalar("SELECT alive_at FROM registry_state")
            .fetch_one(&mut database)
            .await
            .unwrap();
        if alive_at == registry.now_ms() {
            assert_eq!(registry.stored_ids().await, ["a"]);
            return;
        }
    }
    panic!("no sign of life was written");
}
