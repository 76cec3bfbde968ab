//! Storage faults and the relay budget: what was acknowledged happened, and nothing else did.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, ask, peer, session_id, turn_server};

/// Makes every new session fail, like a full disk, until [`MEND`].
const BREAK: &str = "CREATE TRIGGER broken BEFORE INSERT ON turn_sessions
    BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
const MEND: &str = "DROP TRIGGER broken";

async fn count(registry: &TestRegistry, sql: &'static str) -> i64 {
    let mut database = registry.database().await;
    sqlx::query_scalar(sql)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

async fn start() -> TestRegistry {
    let registry = TestRegistry::start_with_operator(&["--peer-timeout-secs=100000"]).await;
    registry.register(&turn_server("turn", 1)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry
}

#[actix_web::test]
async fn an_allocation_that_could_not_be_written_leaves_no_session_and_no_count() {
    let registry = start().await;
    registry.execute(BREAK).await;
    for _ in 0..2 {
        let answer = registry.allocate(&ask("a")).await;
        assert!(answer.header("retry-after").is_some());
        answer.refused(503, "storage_unavailable");
    }
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["sessionStats"]["total"], 0);
    assert_eq!(stats["allocations"], json!({ "granted": 0, "refused": {} }));
    assert_eq!(
        registry.turn_servers().await.ok()["servers"][0]["currentLoad"],
        0
    );
    assert_eq!(
        count(&registry, "SELECT count(*) FROM turn_sessions").await,
        0
    );
    registry.execute(MEND).await;
    // The server's only place is free, and so is the only session that the peer's tier allows.
    registry.allocate(&ask("a")).await.ok();
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["allocations"], json!({ "granted": 1, "refused": {} }));
}

#[actix_web::test]
async fn a_release_that_could_not_be_written_did_not_happen() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(100);
    let body = json!({
        "peerId": "a", "sessionId": session_id(&granted), "bytesTransferred": 5_000,
    });
    let refuse = "CREATE TRIGGER broken BEFORE INSERT ON traffic_days
        BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    registry.execute(refuse).await;
    registry
        .release(&body)
        .await
        .refused(503, "storage_unavailable");
    registry.advance_secs(100);
    registry.execute(MEND).await;
    assert_eq!(registry.cost_stats().await.ok()["sessionStats"]["total"], 1);
    registry.release(&body).await.ok();
    let booked = "SELECT sum(relayed_bytes) FROM traffic_days";
    assert_eq!(count(&registry, booked).await, 5_000);
}

#[actix_web::test]
async fn what_became_due_while_writes_failed_is_done_once_they_succeed() {
    let registry = start().await;
    let mut renewal = ask("a");
    renewal["sessionId"] = registry.allocate(&ask("a")).await.ok()["sessionId"].take();
    registry.advance_secs(22 * 3600);
    registry.allocate(&ask("a")).await.ok();
    registry.execute(BREAK).await;
    // The session ends and a day begins. A read notices both while writes still fail.
    registry.advance_secs(3 * 3600);
    registry
        .allocate(&ask("a"))
        .await
        .refused(503, "storage_unavailable");
    assert_eq!(registry.cost_stats().await.ok()["sessionStats"]["total"], 0);
    registry.advance_secs(3600);
    registry.execute(MEND).await;
    registry.allocate(&ask("a")).await.ok();
    let booked = "SELECT sum(relayed_bytes) FROM traffic_days";
    assert_eq!(count(&registry, booked).await, 2 * 3600 * 5 * 125_000);
    let of_first = "SELECT relayed_bytes FROM traffic_days WHERE day = '2026-01-01'";
    assert_eq!(count(&registry, of_first).await, 2 * 3600 * 5 * 125_000);
}

#[actix_web::test]
async fn bytes_of_http_are_neither_lost_nor_counted_twice_when_writes_fail() {
    let a_dollar_a_byte = "--egress-usd-per-gb=1000000000";
    let rich = "--monthly-budget-usd=1000000000";
    let flags = [a_dollar_a_byte, rich, "--fixed-monthly-cost-usd=0"];
    let registry = TestRegistry::start_with_operator(&flags).await;
    registry.register(&peer("a")).await.ok();
    let spend = async |registry: &TestRegistry| {
        registry.advance_ms(1);
        let stats = registry.cost_stats().await.ok();
        stats["costMetrics"]["dataTransferCosts"].as_f64().unwrap() as i64
    };
    let refuse = "CREATE TRIGGER broken BEFORE INSERT ON peer_tiers
        BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    registry.set_tier("a", "basic").await.ok();
    let before = spend(&registry).await;
    registry.execute(refuse).await;
    for _ in 0..3 {
        registry.advance_ms(1);
        registry
            .set_tier("a", "basic")
            .await
            .refused(503, "storage_unavailable");
    }
    let failing = spend(&registry).await;
    registry.execute(MEND).await;
    registry.advance_ms(1);
    registry.set_tier("a", "basic").await.ok();
    let after = spend(&registry).await;
    // Each response has a few hundred bytes; losing or doubling the bytes before would exceed that.
    let answers = 300..4_000;
    assert!(answers.contains(&(failing - before)), "{before} {failing}");
    assert!(answers.contains(&(after - failing)), "{failing} {after}");
    let on_disk = count(&registry, "SELECT sum(http_bytes) FROM traffic_days").await;
    assert!((before..after).contains(&on_disk), "{on_disk}");
}

#[actix_web::test]
async fn sessions_changed_from_outside_are_noticed_at_the_next_write() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.execute("DELETE FROM turn_sessions").await;
    let body = json!({ "peerId": "a", "sessionId": session_id(&granted) });
    registry
        .release(&body)
        .await
        .refused(404, "session_not_found");
    let servers = registry.turn_servers().await.ok();
    assert_eq!(servers["servers"][0]["currentLoad"], Value::from(0));
    registry.allocate(&ask("a")).await.ok();
}

#[actix_web::test]
async fn what_became_due_is_not_lost_if_one_peers_write_is_refused() {
    let registry = TestRegistry::start_with_operator(&["--peer-timeout-secs=100000"]).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    for id in ["a", "b", "odd"] {
        registry.register(&peer(id)).await.ok();
    }
    registry.allocate(&ask("a")).await.ok();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON turn_sessions WHEN new.peer_id = 'odd'
        BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    registry.execute(refuse).await;
    // The session ends; the next write about sessions must book its bytes.
    registry.advance_secs(2 * 3600);
    let odd = registry.allocate(&ask("odd")).await;
    odd.refused(503, "storage_unavailable");
    registry.allocate(&ask("b")).await.ok();
    let booked = "SELECT sum(relayed_bytes) FROM traffic_days";
    assert_eq!(count(&registry, booked).await, 3600 * 5 * 125_000);
}

#[actix_web::test]
async fn sessions_on_a_server_that_was_removed_from_outside_end() {
    let registry = start().await;
    registry.allocate(&ask("a")).await.ok();
    let remove = "DELETE FROM peers WHERE peer_id = 'turn'";
    assert_eq!(registry.execute(remove).await, 1);
    registry.heartbeat("a").await.ok();
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["sessionStats"]["total"], 0);
    registry.register(&turn_server("turn", 1)).await.ok();
    let servers = registry.turn_servers().await.ok();
    assert_eq!(servers["servers"][0]["currentLoad"], 0);
}
