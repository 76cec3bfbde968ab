//! Granting relay capacity: to whom, how much, for how long, and by which server.

use serde_json::{Value, json};

use crate::helpers::{
    ADMIN_TOKEN, START_MS, TestRegistry, ask, peer, real_clients, session_id, turn_server,
};

/// Leases outlast every test in this file, so that only sessions end.
const PATIENT: &str = "--peer-timeout-secs=100000";
/// Bytes of HTTP cost nothing, so that the cost is a round number.
const FREE_EGRESS: &str = "--egress-usd-per-gb=0";

/// A registry with a TURN server, `turn`, and a peer, `a`.
async fn start(flags: &[&str]) -> TestRegistry {
    let flags = [&[FREE_EGRESS, PATIENT], flags].concat();
    let registry = TestRegistry::start_with_operator(&flags).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry
}

/// The servers with room and their loads, in order.
async fn loads(registry: &TestRegistry) -> Vec<(String, u64)> {
    let listing = registry.turn_servers().await.ok();
    let servers = listing["servers"].as_array().unwrap();
    assert_eq!(listing["total"], servers.len());
    servers
        .iter()
        .map(|server| {
            let id = server["peerId"].as_str().unwrap().to_owned();
            (id, server["currentLoad"].as_u64().unwrap())
        })
        .collect()
}

fn load(id: &str, load: u64) -> (String, u64) {
    (id.to_owned(), load)
}

/// The server that relays a session in a 200.
fn server_of(granted: &Value) -> &str {
    granted["turnServer"]["peerId"].as_str().unwrap()
}

async fn live_sessions(registry: &TestRegistry) -> u64 {
    let stats = registry.cost_stats().await.ok();
    let total = stats["sessionStats"]["total"].as_u64().unwrap();
    let health = registry.health().await.ok();
    assert_eq!(health["costInfo"]["activeSessions"], total);
    total
}

#[actix_web::test]
async fn an_allocation_is_answered_with_every_field_of_the_contract() {
    let registry = start(&[]).await;
    let answer = registry.allocate(&json!({ "peerId": "a" })).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut body = answer.ok();
    let id = body["sessionId"].take();
    let id = id.as_str().unwrap();
    assert_eq!(id.len(), 32);
    assert!(id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    let expected = json!({
        "success": true,
        "peerId": "a",
        "sessionId": null,
        "limits": {"maxBandwidthMbps": 5, "maxDurationSeconds": 3600, "priorityLevel": "free",
            "priority": 1},
        "costInfo": {
            "currentCostRatio": 0.075, "projectedMonthlyCost": 60.0, "budgetRemaining": 800.0,
        },
        "mode": "normal",
        "turnServer": {
            "peerId": "turn",
            "addresses": ["203.0.113.20", "/dns4/turn.example.org/udp/3478"],
            "port": 3478,
        },
        "expiresAt": START_MS + 3_600_000,
        "iceServers": [{"urls": [
            "turn:203.0.113.20:3478?transport=udp",
            "turn:203.0.113.20:3478?transport=tcp",
            "turn:turn.example.org:3478?transport=udp",
            "turn:turn.example.org:3478?transport=tcp",
        ]}],
        "cleanedExpiredPeers": 0,
        "timestamp": "2026-01-01T00:00:00.000Z",
    });
    assert_eq!(body, expected);
}

#[actix_web::test]
async fn what_nodes_in_the_field_send_is_granted() {
    let registry = start(&[]).await;
    let body = &real_clients()["allocateTurn"];
    registry
        .register(&peer(body["peerId"].as_str().unwrap()))
        .await
        .ok();
    let granted = registry.allocate(body).await.ok();
    assert_eq!(granted["limits"]["maxBandwidthMbps"], 5);
}

#[actix_web::test]
async fn a_peer_that_names_no_bandwidth_is_assumed_to_need_10_mbps() {
    let registry = start(&[]).await;
    registry.set_tier("a", "standard").await.ok();
    for (asked, granted) in [
        (Value::Null, 10),
        (json!(0), 1),
        (json!(0.2), 1),
        (json!(7.5), 8),
        (json!(1000), 50),
    ] {
        let mut body = ask("a");
        body["estimatedBandwidthMbps"] = asked;
        let answer = registry.allocate(&body).await.ok();
        assert_eq!(answer["limits"]["maxBandwidthMbps"], granted, "{body}");
    }
}

#[actix_web::test]
async fn each_tier_has_its_bandwidth_its_priority_and_its_sessions_per_peer() {
    for (flags, tiers) in [
        (
            &[][..],
            [
                ("free", 5, 1),
                ("basic", 10, 2),
                ("standard", 50, 5),
                ("premium", 100, 10),
            ],
        ),
        (
            &["--tier-limits=free=1/2,premium=200/6"],
            [
                ("free", 1, 2),
                ("basic", 10, 2),
                ("standard", 50, 5),
                ("premium", 200, 6),
            ],
        ),
    ] {
        let registry = start(flags).await;
        registry.register(&turn_server("turn", 100)).await.ok();
        registry.register(&peer("b")).await.ok();
        for (at, (tier, mbps, sessions)) in tiers.into_iter().enumerate() {
            let id = format!("{tier}-peer");
            registry.register(&peer(&id)).await.ok();
            registry.set_tier(&id, tier).await.ok();
            let mut body = ask(&id);
            body["estimatedBandwidthMbps"] = json!(1000);
            for _ in 0..sessions {
                let limits = &registry.allocate(&body).await.ok()["limits"];
                assert_eq!(limits["maxBandwidthMbps"], mbps, "{tier}");
                assert_eq!(limits["priorityLevel"], tier);
                assert_eq!(limits["priority"], at + 1, "{tier}");
            }
            let refusal = registry.allocate(&body).await;
            let refusal = refusal.not_allocated(429, "session_limit", 60);
            let limit = json!({ "name": "sessionsPerPeer", "allowed": sessions });
            assert_eq!(refusal["limit"], limit);
            assert_eq!(refusal["mode"], "normal");
        }
        // Each peer has limits of its own.
        registry.allocate(&ask("b")).await.ok();
    }
}

#[actix_web::test]
async fn a_peer_that_is_unknown_or_has_expired_is_told_to_register() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_ms(600_001);
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("b")).await.ok();
    registry.advance_ms(600_001);
    for id in ["nobody", "a", "b"] {
        let error = registry.allocate(&ask(id)).await;
        let error = error.refused(404, "peer_not_found");
        assert!(
            error["suggestion"]
                .as_str()
                .unwrap()
                .contains("POST /register")
        );
    }
    // A request for an allocation does not revive an expired peer.
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn an_allocation_renews_the_lease_and_a_refusal_does_not() {
    let registry = TestRegistry::start().await;
    for id in ["a", "b"] {
        registry.register(&peer(id)).await.ok();
    }
    registry.register(&turn_server("turn", 1)).await.ok();
    registry.advance_secs(400);
    registry.heartbeat("turn").await.ok();
    registry.allocate(&ask("a")).await.ok();
    let refusal = registry.allocate(&ask("b")).await;
    refusal.not_allocated(503, "no_turn_server", 30);
    registry.advance_secs(201);
    assert_eq!(registry.listed_ids().await, ["a", "turn"]);
}

#[actix_web::test]
async fn the_server_with_the_lowest_load_relative_to_its_capacity_is_chosen() {
    let registry = start(&[]).await;
    registry.set_tier("a", "premium").await.ok();
    registry.register(&turn_server("small", 2)).await.ok();
    registry.register(&turn_server("turn", 4)).await.ok();
    let mut chosen = Vec::new();
    for _ in 0..6 {
        chosen.push(server_of(&registry.allocate(&ask("a")).await.ok()).to_owned());
    }
    assert_eq!(chosen, ["small", "turn", "turn", "small", "turn", "turn"]);
    assert_eq!(loads(&registry).await, []);
}

#[actix_web::test]
async fn a_peer_is_never_its_own_server() {
    let registry = start(&[]).await;
    registry.register(&turn_server("turn-2", 1)).await.ok();
    let granted = registry.allocate(&ask("turn")).await.ok();
    assert_eq!(server_of(&granted), "turn-2");
    let granted = registry.allocate(&ask("a")).await.ok();
    assert_eq!(server_of(&granted), "turn");
    registry.set_tier("turn", "premium").await.ok();
    let refusal = registry.allocate(&ask("turn")).await;
    refusal.not_allocated(503, "no_turn_server", 30);
}

#[actix_web::test]
async fn without_a_server_with_room_peers_are_told_when_to_come_back() {
    let registry = TestRegistry::start().await;
    for id in ["a", "b"] {
        registry.register(&peer(id)).await.ok();
    }
    for has_full_server in [false, true] {
        if has_full_server {
            registry.register(&turn_server("turn", 1)).await.ok();
            registry.allocate(&ask("a")).await.ok();
        }
        let refusal = registry.allocate(&ask("b")).await;
        let refusal = refusal.not_allocated(503, "no_turn_server", 30);
        assert!(refusal["suggestion"].as_str().is_some());
    }
    let stats = registry.cost_stats().await.ok();
    let expected = json!({"granted": 1, "refused": {"no_turn_server": 2}});
    assert_eq!(stats["allocations"], expected);
}

#[actix_web::test]
async fn turn_servers_are_listed_with_their_load_the_least_loaded_first() {
    let registry = start(&[]).await;
    registry.set_tier("a", "premium").await.ok();
    registry.register(&turn_server("second", 2)).await.ok();
    assert_eq!(loads(&registry).await, [load("second", 0), load("turn", 0)]);
    registry.allocate(&ask("a")).await.ok();
    assert_eq!(loads(&registry).await, [load("turn", 0), load("second", 1)]);
    registry.allocate(&ask("a")).await.ok();
    let third = registry.allocate(&ask("a")).await.ok();
    assert_eq!(server_of(&third), "turn");
    assert_eq!(loads(&registry).await, [load("turn", 2), load("second", 1)]);
}

#[actix_web::test]
async fn a_session_that_ends_by_itself_frees_its_place_to_the_millisecond() {
    let registry = start(&[]).await;
    registry.register(&turn_server("turn", 1)).await.ok();
    registry.register(&peer("b")).await.ok();
    registry.allocate(&ask("a")).await.ok();
    registry.advance_ms(3_599_999);
    registry
        .allocate(&ask("b"))
        .await
        .not_allocated(503, "no_turn_server", 30);
    assert_eq!(
        (live_sessions(&registry).await, loads(&registry).await),
        (1, vec![])
    );
    registry.advance_ms(1);
    let expected = vec![load("turn", 0)];
    assert_eq!(
        (live_sessions(&registry).await, loads(&registry).await),
        (0, expected)
    );
    registry.allocate(&ask("b")).await.ok();
}

#[actix_web::test]
async fn a_session_that_ends_before_midnight_frees_its_place_even_if_the_next_request_comes_after_midnight()
 {
    let registry = start(&[]).await;
    registry.register(&turn_server("turn", 1)).await.ok();
    registry.advance_secs(22 * 3600);
    registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(3 * 3600);
    assert_eq!(loads(&registry).await, [load("turn", 0)]);
    registry.allocate(&ask("a")).await.ok();
}

#[actix_web::test]
async fn a_restart_forgets_no_session_and_no_load() {
    let mut registry = start(&[]).await;
    registry.register(&turn_server("turn", 3)).await.ok();
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.stop().await;
    registry.advance_secs(60);
    registry.resume().await;
    assert_eq!(live_sessions(&registry).await, 1);
    assert_eq!(loads(&registry).await, [load("turn", 1)]);
    registry
        .allocate(&ask("a"))
        .await
        .not_allocated(429, "session_limit", 60);
    let mut renewal = ask("a");
    renewal["sessionId"] = granted["sessionId"].clone();
    registry.allocate(&renewal).await.ok();
    registry.stop().await;
    registry.advance_secs(3600);
    registry.resume().await;
    assert_eq!(loads(&registry).await, [load("turn", 0)]);
}

#[actix_web::test]
async fn a_registry_that_was_down_for_hours_grants_and_releases_sessions_again() {
    let mut registry = start(&[]).await;
    registry.allocate(&ask("a")).await.ok();
    registry.stop().await;
    registry.advance_secs(3 * 3600);
    registry.resume().await;
    for _ in 0..3 {
        let granted = registry.allocate(&ask("a")).await.ok();
        let body = json!({ "peerId": "a", "sessionId": session_id(&granted) });
        registry.release(&body).await.ok();
        registry.advance_secs(1);
    }
    assert_eq!(registry.health().await.ok()["status"], "healthy");
}

#[actix_web::test]
async fn an_allocation_sent_with_the_admin_token_is_not_premium() {
    let registry = start(&[]).await;
    let request = registry
        .request(reqwest::Method::POST, "/allocate-turn")
        .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
        .json(&json!({"peerId": "a", "userTier": "premium", "estimatedBandwidthMbps": 100}));
    let granted = crate::answer::Answer::of(request.send().await.unwrap()).await;
    assert_eq!(granted.ok()["limits"]["maxBandwidthMbps"], 5);
}
