//! Whatever one client sends, memory, tables, responses and the time of each step stay bounded.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, ask, in_order, peer, turn_server};

/// A peer with this number of stores that no other peer has.
fn peer_with_stores(id: &str, stores: usize) -> Value {
    let mut body = peer(id);
    body["stores"] = (0..stores).map(|number| format!("{id}-{number}")).collect();
    body
}

/// Registers peers like `body_of` until the registry is full; returns how many it took.
async fn fill(registry: &TestRegistry, body_of: impl Fn(&str) -> Value) -> usize {
    for number in 0..10_000 {
        let answer = registry.register(&body_of(&format!("p{number:05}"))).await;
        if answer.status != 200 {
            answer.refused(503, "registry_full");
            return number;
        }
    }
    panic!("the registry is never full");
}

#[actix_web::test]
async fn new_peers_are_refused_over_the_memory_budget_and_renewals_go_on() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=1"]).await;
    let body_of = |id: &str| peer_with_stores(id, 40);
    let taken = fill(&registry, body_of).await;
    assert!((200..600).contains(&taken), "{taken}");
    for number in 0..taken {
        registry.heartbeat(&format!("p{number:05}")).await.ok();
    }
    // A registered peer may announce the same or less, but not more.
    registry.register(&body_of("p00007")).await.ok();
    let mut larger = peer("p00008");
    larger["stores"] = (0..900)
        .map(|number| format!("p00008-{number:0100}"))
        .collect();
    let larger = registry.register(&larger).await;
    larger.refused(503, "registry_full");
    assert_eq!(registry.listed_ids().await.len(), taken);
    // A peer that leaves makes room.
    registry.advance_ms(600_001);
    assert_eq!(fill(&registry, body_of).await, taken);
}

#[actix_web::test]
async fn a_peer_with_a_thousand_stores_of_its_own_costs_under_64_kib() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=8"]).await;
    let taken = fill(&registry, |id| peer_with_stores(id, 1024)).await;
    assert!((8 * 1024 / 96..8 * 1024 / 32).contains(&taken), "{taken}");
}

#[actix_web::test]
async fn stores_that_peers_share_are_kept_once() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=8"]).await;
    let taken = fill(&registry, |id| {
        let mut body = peer(id);
        body["stores"] = (0..256).map(|number| format!("{number:064x}")).collect();
        body
    })
    .await;
    let own = TestRegistry::start_with(&["--max-memory-mb=8"]).await;
    let of_their_own = fill(&own, |id| {
        let mut body = peer(id);
        body["stores"] = (0..256)
            .map(|number| format!("{id}{number:058x}"))
            .collect();
        body
    })
    .await;
    assert!(taken > 3 * of_their_own, "{taken} {of_their_own}");
}

#[actix_web::test]
async fn many_rows_changed_from_outside_are_read_in_steps_while_heartbeats_continue() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.add_rows(5_000).await;
    // A peer from an added row is known at its first request, even if the comparison has not
    // reached its row.
    registry.heartbeat("row-4999").await.ok();
    registry.wait_for_peers("a", 5_001).await;
    assert_eq!(registry.listed_ids().await.len(), 5_001);
    for change in [
        "DELETE FROM peers WHERE peer_id LIKE 'row-4%'",
        "UPDATE peers SET version = 'edited' WHERE peer_id LIKE 'row-3%'",
    ] {
        assert_eq!(registry.execute(change).await, 1_111);
    }
    registry.wait_for_peers("a", 5_001 - 1_111).await;
    registry
        .heartbeat("row-4")
        .await
        .refused(404, "peer_not_found");
    let edited = registry.peers("version=edited&limit=1").await.ok();
    assert_eq!(edited["total"], 1_111);
}

#[actix_web::test]
async fn thousands_of_peers_that_expire_together_are_removed_in_steps_and_not_listed() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.add_rows(5_000).await;
    registry.wait_for_peers("a", 5_001).await;
    registry.advance_secs(300);
    registry.heartbeat("a").await.ok();
    registry.advance_ms(300_001);
    let listing = registry.peers("store=s").await.ok();
    assert_eq!(listing["total"], 0);
    assert_eq!(registry.listed_ids().await, ["a"]);
    let first = registry.heartbeat("a").await.ok()["cleanedExpiredPeers"]
        .as_u64()
        .unwrap();
    assert!(first <= 2_000, "{first}");
    // The counts of all responses add up to the rows removed.
    let mut cleaned = first + registry.wait_for_peers("a", 1).await;
    cleaned += registry.heartbeat("a").await.ok()["cleanedExpiredPeers"]
        .as_u64()
        .unwrap();
    assert_eq!(cleaned, 5_000);
    assert_eq!(registry.stored_ids().await, ["a"]);
}

#[actix_web::test]
async fn pages_are_bounded_in_bytes_and_nothing_is_lost_between_them() {
    let registry = TestRegistry::start_with(&["--max-response-bytes=65536"]).await;
    let mut names = Vec::new();
    for number in 0..40 {
        let id = format!("p{number:02}");
        let mut body = peer_with_stores(&id, 300);
        body["capabilities"] = json!({ "text": "x".repeat(4000) });
        registry.register(&body).await.ok();
        names.push(id);
    }
    let mut listed = Vec::new();
    let mut query = "includeStores=true&includeCapabilities=true".to_owned();
    loop {
        let request = registry.request(reqwest::Method::GET, &format!("/peers?{query}"));
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.len() <= 65_536 + 512, "{}", text.len());
        let page: Value = serde_json::from_str(&text).unwrap();
        for peer in page["peers"].as_array().unwrap() {
            assert_eq!(peer["stores"].as_array().unwrap().len(), 300);
            listed.push(peer["peerId"].as_str().unwrap().to_owned());
        }
        match page["nextCursor"].as_str() {
            Some(cursor) => {
                query = format!("includeStores=true&includeCapabilities=true&cursor={cursor}");
            }
            None => break,
        }
    }
    assert_eq!(in_order(listed), names);
    let sample = registry.peers("limit=40&includeStores=true").await.ok();
    let drawn = sample["peers"].as_array().unwrap().len();
    assert!((1..40).contains(&drawn), "{drawn}");
}

async fn session_rows(registry: &TestRegistry) -> i64 {
    let mut database = registry.database().await;
    sqlx::query_scalar("SELECT count(*) FROM turn_sessions")
        .fetch_one(&mut database)
        .await
        .unwrap()
}

#[actix_web::test]
async fn a_peer_that_allocates_and_releases_in_a_loop_is_slowed_and_leaves_little_behind() {
    let registry = TestRegistry::start().await;
    registry.register(&turn_server("turn", 100)).await.ok();
    registry.register(&peer("a")).await.ok();
    for minute in 0..5 {
        for _ in 0..10 {
            let granted = registry.allocate(&ask("a")).await.ok();
            let release = json!({ "peerId": "a", "sessionId": granted["sessionId"] });
            registry.release(&release).await.ok();
        }
        let refused = registry.allocate(&ask("a")).await;
        let body = refused.not_allocated(429, "throttled", 60);
        assert_eq!(
            body["limit"],
            json!({"name": "newSessionsPerMinute", "allowed": 10})
        );
        assert!(session_rows(&registry).await <= 17, "minute {minute}");
        registry.advance_secs(60);
    }
}

#[actix_web::test]
async fn ended_sessions_of_all_peers_together_are_bounded() {
    let registry = TestRegistry::start_with(&["--max-ended-sessions=20"]).await;
    registry.register(&turn_server("turn", 100)).await.ok();
    for number in 0..60 {
        let id = format!("p{number}");
        registry.register(&peer(&id)).await.ok();
        let granted = registry.allocate(&ask(&id)).await.ok();
        let release = json!({ "peerId": id, "sessionId": granted["sessionId"] });
        registry.release(&release).await.ok();
    }
    assert!(session_rows(&registry).await <= 21);
    let released = registry.cost_stats().await.ok();
    assert_eq!(released["allocations"]["granted"], 60);
}

#[actix_web::test]
async fn an_allocation_limit_above_the_number_of_kept_sessions_refuses_no_allocation() {
    let registry = TestRegistry::start_with(&[
        "--max-allocations-per-minute=20",
        "--max-ended-sessions-per-peer=8",
    ])
    .await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    for _ in 0..30 {
        let granted = registry.allocate(&ask("a")).await.ok();
        let release = json!({ "peerId": "a", "sessionId": granted["sessionId"] });
        registry.release(&release).await.ok();
    }
    assert!(session_rows(&registry).await <= 9);
}
