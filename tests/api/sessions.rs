//! The life of a TURN session after it was granted: renewals, reports, and all the ways it ends.

use serde_json::{Value, json};

use crate::helpers::{START_MS, TestRegistry, ask, peer, session_id, turn_server};

/// A registry with a TURN server, `turn`, and two peers; leases outlast every test but one.
async fn start() -> TestRegistry {
    let registry = TestRegistry::start_with_operator(&["--peer-timeout-secs=100000"]).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    for id in ["a", "b"] {
        registry.register(&peer(id)).await.ok();
    }
    registry
}

fn of(peer_id: &str, granted: &Value) -> Value {
    json!({ "peerId": peer_id, "p2pAttempted": true, "sessionId": session_id(granted) })
}

fn usage(server: &str, granted: &Value, bytes: i64) -> Value {
    let session = json!({ "sessionId": session_id(granted), "bytesTransferred": bytes });
    json!({ "peerId": server, "sessions": [session] })
}

/// The bytes of all sessions that are booked in `traffic_days`.
async fn booked_bytes(registry: &TestRegistry) -> i64 {
    let mut database = registry.database().await;
    sqlx::query_scalar("SELECT coalesce(sum(relayed_bytes), 0) FROM traffic_days")
        .fetch_one(&mut database)
        .await
        .unwrap()
}

async fn live_sessions(registry: &TestRegistry) -> Value {
    registry.cost_stats().await.ok()["sessionStats"]["total"].clone()
}

#[actix_web::test]
async fn a_renewal_keeps_the_session_its_server_and_its_place() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.register(&turn_server("turn-2", 10)).await.ok();
    registry.advance_secs(3599);
    let renewed = registry.allocate(&of("a", &granted)).await.ok();
    assert_eq!(renewed["sessionId"], granted["sessionId"]);
    assert_eq!(renewed["turnServer"], granted["turnServer"]);
    assert_eq!(renewed["expiresAt"], START_MS + (3599 + 3600) * 1000);
    assert_eq!(live_sessions(&registry).await, 1);
    registry.advance_secs(3599);
    registry.allocate(&of("a", &granted)).await.ok();
}

#[actix_web::test]
async fn a_renewal_applies_a_new_tier_and_a_new_bandwidth() {
    let registry = start().await;
    registry.set_tier("a", "premium").await.ok();
    let granted = registry.allocate(&ask("a")).await.ok();
    let mut renewal = of("a", &granted);
    renewal["estimatedBandwidthMbps"] = json!(80);
    let renewed = registry.allocate(&renewal).await.ok();
    assert_eq!(renewed["limits"]["maxBandwidthMbps"], 80);
    registry.set_tier("a", "free").await.ok();
    let lowered = registry.allocate(&renewal).await.ok();
    assert_eq!(lowered["limits"]["maxBandwidthMbps"], 5);
    assert_eq!(lowered["limits"]["priorityLevel"], "free");
}

#[actix_web::test]
async fn a_peer_can_renew_only_a_live_session_of_its_own() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    let refused = |body: Value| {
        let registry = &registry;
        async move {
            let error = registry.allocate(&body).await;
            let error = error.refused(404, "session_not_found");
            let suggestion = error["suggestion"].as_str().unwrap();
            assert!(suggestion.contains("POST /allocate-turn"));
        }
    };
    refused(of("b", &granted)).await;
    refused(json!({ "peerId": "a", "sessionId": "nothing-of-the-kind" })).await;
    registry.advance_secs(3600);
    refused(of("a", &granted)).await;
    let released = registry.allocate(&ask("a")).await.ok();
    registry.release(&of("a", &released)).await.ok();
    refused(of("a", &released)).await;
    // An unregistered peer gets that error first.
    let error = registry.allocate(&of("nobody", &granted)).await;
    error.refused(404, "peer_not_found");
}

#[actix_web::test]
async fn a_release_is_answered_with_every_field_and_frees_the_place() {
    let registry = start().await;
    registry.register(&turn_server("turn", 1)).await.ok();
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(100);
    let mut body = of("a", &granted);
    body["bytesTransferred"] = json!(12_345);
    let answer = registry.release(&body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = json!({
        "success": true,
        "sessionId": granted["sessionId"],
        "bytesTransferred": 12_345,
        "cleanedExpiredPeers": 0,
        "timestamp": "2026-01-01T00:01:40.000Z",
    });
    assert_eq!(answer.ok(), expected);
    assert_eq!(booked_bytes(&registry).await, 12_345);
    assert_eq!(
        registry.turn_servers().await.ok()["servers"][0]["currentLoad"],
        0
    );
    registry.allocate(&ask("b")).await.ok();
    registry
        .release(&body)
        .await
        .refused(404, "session_not_found");
}

#[actix_web::test]
async fn a_release_without_a_byte_count_is_estimated_by_the_granted_bandwidth() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(100);
    let released = registry.release(&of("a", &granted)).await.ok();
    assert_eq!(released["bytesTransferred"], 5 * 125_000 * 100);
    assert_eq!(booked_bytes(&registry).await, 5 * 125_000 * 100);
}

#[actix_web::test]
async fn a_release_in_the_same_millisecond_as_the_grant_counts_its_byte_count() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    let mut body = of("a", &granted);
    body["bytesTransferred"] = json!(777);
    assert_eq!(registry.release(&body).await.ok()["bytesTransferred"], 777);
    assert_eq!(booked_bytes(&registry).await, 777);
}

#[actix_web::test]
async fn nobody_releases_the_session_of_another_peer() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    for id in ["b", "turn", "nobody"] {
        let refusal = registry.release(&of(id, &granted)).await;
        refusal.refused(404, "session_not_found");
    }
    assert_eq!(live_sessions(&registry).await, 1);
}

#[actix_web::test]
async fn the_response_to_a_report_names_the_accepted_and_the_refused_sessions() {
    let registry = start().await;
    registry.register(&turn_server("turn-2", 10)).await.ok();
    let granted = registry.allocate(&ask("a")).await.ok();
    let foreign = registry.allocate(&ask("b")).await.ok();
    assert_ne!(granted["turnServer"], foreign["turnServer"]);
    registry.advance_secs(1);
    let mut body = usage("turn", &granted, 1_000);
    let sessions = body["sessions"].as_array_mut().unwrap();
    sessions.push(usage("", &foreign, 2_000)["sessions"][0].clone());
    sessions.push(json!({ "sessionId": "unknown", "bytesTransferred": 3_000 }));
    let answer = registry.report(&body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = json!({
        "success": true,
        "accepted": 1,
        "unknown": 2,
        "cleanedExpiredPeers": 0,
        "timestamp": "2026-01-01T00:00:01.000Z",
    });
    assert_eq!(answer.ok(), expected);
    registry.advance_secs(3599);
    registry.heartbeat("a").await.ok();
    registry.allocate(&ask("a")).await.ok();
    // The other session is estimated, because its own server has not reported it.
    let reckoned = 5 * 125_000 * 3600;
    assert_eq!(booked_bytes(&registry).await, 1_000 + reckoned);
}

#[actix_web::test]
async fn the_last_report_wins_over_the_estimate_and_the_reports_before() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(60);
    registry.report(&usage("turn", &granted, 9_000)).await.ok();
    registry.report(&usage("turn", &granted, 4_000)).await.ok();
    registry.advance_secs(60);
    let released = registry.release(&of("a", &granted)).await.ok();
    assert_eq!(released["bytesTransferred"], 4_000);
    registry.report(&usage("turn", &granted, 5_000)).await.ok();
    assert_eq!(booked_bytes(&registry).await, 5_000);
    registry.report(&usage("turn", &granted, 0)).await.ok();
    assert_eq!(booked_bytes(&registry).await, 0);
}

#[actix_web::test]
async fn a_renewal_does_not_forget_a_report() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(1);
    registry.report(&usage("turn", &granted, 4_000)).await.ok();
    registry.advance_secs(60);
    registry.allocate(&of("a", &granted)).await.ok();
    registry.advance_secs(60);
    let released = registry.release(&of("a", &granted)).await.ok();
    assert_eq!(released["bytesTransferred"], 4_000);
}

#[actix_web::test]
async fn a_peers_own_count_does_not_override_the_report_of_its_server() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(1);
    registry.report(&usage("turn", &granted, 4_000)).await.ok();
    let mut body = of("a", &granted);
    body["bytesTransferred"] = json!(0);
    assert_eq!(
        registry.release(&body).await.ok()["bytesTransferred"],
        4_000
    );
    // The server may correct its report, even after the release.
    registry.report(&usage("turn", &granted, 5_000)).await.ok();
    assert_eq!(booked_bytes(&registry).await, 5_000);
}

#[actix_web::test]
async fn the_response_to_an_allocation_counts_the_peers_removed_before_it() {
    let registry = start().await;
    registry.register(&turn_server("gone", 1)).await.ok();
    registry.advance_secs(60_000);
    for id in ["a", "turn"] {
        registry.heartbeat(id).await.ok();
    }
    registry.advance_secs(40_001);
    let granted = registry.allocate(&ask("a")).await.ok();
    let gone = granted["cleanedExpiredPeers"].as_u64().unwrap();
    assert!(gone >= 1, "{granted}");
    assert_eq!(registry.stats().await.ok()["peersCleaned"], gone);
}

#[actix_web::test]
async fn a_report_counts_until_an_hour_after_the_end_of_the_session() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(2 * 3600);
    let report = registry.report(&usage("turn", &granted, 4_000)).await.ok();
    assert_eq!(
        (&report["accepted"], &report["unknown"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(booked_bytes(&registry).await, 4_000);
    registry.advance_ms(1);
    let report = registry.report(&usage("turn", &granted, 5_000)).await.ok();
    assert_eq!(
        (&report["accepted"], &report["unknown"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(booked_bytes(&registry).await, 4_000);
    // A session that was forgotten does not disturb other writes.
    for _ in 0..2 {
        registry.allocate(&ask("b")).await.ok();
        registry.advance_secs(3600);
    }
}

#[actix_web::test]
async fn a_server_that_withdraws_its_offer_frees_its_peers_to_ask_again() {
    let registry = start().await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.register(&turn_server("turn-2", 10)).await.ok();
    registry.advance_secs(60);
    let mut body = peer("turn");
    body["turnCapable"] = json!(false);
    registry.register(&body).await.ok();
    assert_eq!(live_sessions(&registry).await, 0);
    assert_eq!(booked_bytes(&registry).await, 5 * 125_000 * 60);
    let renewal = registry.allocate(&of("a", &granted)).await;
    renewal.refused(404, "session_not_found");
    let again = registry.allocate(&ask("a")).await.ok();
    assert_eq!(again["turnServer"]["peerId"], "turn-2");
    // The server may still report what it relayed.
    let report = registry.report(&usage("turn", &granted, 1_000)).await.ok();
    assert_eq!(report["accepted"], 1);
}

#[actix_web::test]
async fn a_server_that_expires_frees_its_peers_even_before_it_is_cleaned_up() {
    let registry = TestRegistry::start().await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(400);
    registry.register(&turn_server("turn-2", 10)).await.ok();
    registry.heartbeat("a").await.ok();
    registry.advance_secs(201);
    let renewal = registry.allocate(&of("a", &granted)).await;
    renewal.refused(404, "session_not_found");
    let again = registry.allocate(&ask("a")).await.ok();
    assert_eq!(again["turnServer"]["peerId"], "turn-2");
    // The allocation was a write, so it cleaned up: the session on the expired server has ended.
    assert_eq!(live_sessions(&registry).await, 1);
    assert_eq!(registry.stored_ids().await, ["a", "turn-2"]);
    assert_eq!(booked_bytes(&registry).await, 5 * 125_000 * 601);
}

#[actix_web::test]
async fn no_session_is_granted_on_a_server_that_withdraws_in_the_same_batch() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    let mut withdrawal = peer("turn");
    withdrawal["turnCapable"] = json!(false);
    for _ in 0..40 {
        registry.register(&turn_server("turn", 10)).await.ok();
        let ask = ask("a");
        let (_, withdrawn, answer, _) = futures_util::future::join4(
            registry.heartbeat("a"),
            registry.register(&withdrawal),
            registry.allocate(&ask),
            registry.heartbeat("a"),
        )
        .await;
        withdrawn.ok();
        if answer.status != 200 {
            answer.not_allocated(503, "no_turn_server", 30);
        }
        // Whichever request came first, no session is left on the server.
        assert_eq!(live_sessions(&registry).await, 0);
    }
}
