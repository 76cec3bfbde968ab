//! What each mode grants and refuses, and its error messages.

use serde_json::{Value, json};

use crate::helpers::{START_MS, TestRegistry, ask, peer, session_id, turn_server};

const LATER: &str = "2026-01-02T00:00:00Z";

/// A registry with a TURN server, `turn`, and a premium and a free peer.
async fn start(flags: &[&str]) -> TestRegistry {
    let base = ["--egress-usd-per-gb=0", "--peer-timeout-secs=100000"];
    let registry = TestRegistry::start_with_operator(&[&base, flags].concat()).await;
    registry.register(&turn_server("turn", 100)).await.ok();
    registry.register(&peer("free")).await.ok();
    premium(&registry, "premium").await;
    registry
}

async fn premium(registry: &TestRegistry, id: &str) {
    registry.register(&peer(id)).await.ok();
    registry.set_tier(id, "premium").await.ok();
}

async fn force(registry: &TestRegistry, mode: &str) {
    let body = json!({ "mode": mode, "until": LATER });
    assert_eq!(registry.set_mode(&body).await.ok()["mode"], mode);
}

fn mbps(id: &str, mbps: u32) -> Value {
    json!({ "peerId": id, "p2pAttempted": true, "estimatedBandwidthMbps": mbps })
}

fn renewal(id: &str, granted: &Value) -> Value {
    json!({
        "peerId": id, "p2pAttempted": true, "sessionId": session_id(granted),
        "estimatedBandwidthMbps": 100,
    })
}

fn limits(granted: &Value) -> (u64, u64) {
    let limits = &granted["limits"];
    let number = |name: &str| limits[name].as_u64().unwrap();
    (number("maxBandwidthMbps"), number("maxDurationSeconds"))
}

fn limit(name: &str, allowed: impl Into<Value>) -> Value {
    json!({ "name": name, "allowed": allowed.into() })
}

async fn mode(registry: &TestRegistry) -> Value {
    let stats = registry.cost_stats().await.ok();
    let health = registry.health().await.ok();
    assert_eq!(health["costInfo"]["mode"], stats["mode"]["name"]);
    stats["mode"]["name"].clone()
}

#[actix_web::test]
async fn warning_grants_less_and_only_after_an_attempt_at_a_direct_connection() {
    let registry = start(&[]).await;
    premium(&registry, "others").await;
    for _ in 0..3 {
        registry.allocate(&mbps("others", 100)).await.ok();
    }
    force(&registry, "warning").await;
    for attempted in [Value::Null, json!(false)] {
        let body = json!({ "peerId": "free", "p2pAttempted": attempted });
        let refusal = registry.allocate(&body).await;
        let refusal = refusal.not_allocated(429, "attempt_p2p_first", 30);
        assert_eq!(refusal["limit"], limit("p2pAttempted", Value::Null));
        assert_eq!(refusal["mode"], "warning");
        // Nodes in the field compare with this word.
        assert_eq!(refusal["suggestion"], "attempt_p2p_first");
        let sentence = refusal["error"].as_str().unwrap();
        assert!(
            sentence.starts_with("p2pAttempted must be true"),
            "{sentence}"
        );
        let cost = json!({
            "currentCostRatio": 0.075, "projectedMonthlyCost": 60.0, "budgetRemaining": 800.0,
        });
        assert_eq!(refusal["costInfo"], cost);
    }
    let granted = registry.allocate(&ask("free")).await.ok();
    assert_eq!(
        (limits(&granted), &granted["mode"]),
        ((5, 900), &json!("warning"))
    );
    assert_eq!(granted["expiresAt"], START_MS + 900_000);
    let granted = registry.allocate(&mbps("premium", 100)).await.ok();
    assert_eq!(limits(&granted), (50, 900));
}

#[actix_web::test]
async fn throttle_grants_to_premium_peers_only() {
    let registry = start(&[]).await;
    premium(&registry, "others").await;
    registry.allocate(&mbps("others", 100)).await.ok();
    force(&registry, "throttle").await;
    let refusal = registry.allocate(&ask("free")).await;
    let refusal = refusal.not_allocated(429, "premium_only", 600);
    assert_eq!(refusal["limit"], limit("leastTier", Value::Null));
    assert_eq!(refusal["mode"], "throttle");
    let hasty = registry.allocate(&json!({ "peerId": "premium" })).await;
    hasty.not_allocated(429, "attempt_p2p_first", 30);
    let granted = registry.allocate(&mbps("premium", 100)).await.ok();
    assert_eq!(limits(&granted), (20, 600));
}

#[actix_web::test]
async fn throttle_allows_five_premium_sessions_of_all_peers_together() {
    let registry = start(&[]).await;
    force(&registry, "throttle").await;
    let mut last = Value::Null;
    for at in 0..5 {
        let id = format!("premium-{at}");
        premium(&registry, &id).await;
        last = registry.allocate(&ask(&id)).await.ok();
    }
    let refusal = registry.allocate(&ask("premium")).await;
    let refusal = refusal.not_allocated(429, "premium_session_limit", 60);
    assert_eq!(refusal["limit"], limit("premiumSessions", 5));
    // A renewal does not count as a new session.
    registry.allocate(&renewal("premium-4", &last)).await.ok();
    let body = json!({ "peerId": "premium-4", "sessionId": session_id(&last) });
    registry.release(&body).await.ok();
    registry.allocate(&ask("premium")).await.ok();
}

#[actix_web::test]
async fn emergency_renews_live_premium_sessions_and_grants_nothing_new() {
    let registry = start(&[]).await;
    premium(&registry, "others").await;
    registry.allocate(&mbps("others", 100)).await.ok();
    let of_premium = registry.allocate(&mbps("premium", 100)).await.ok();
    let of_free = registry.allocate(&ask("free")).await.ok();
    force(&registry, "emergency").await;
    for body in [ask("free"), ask("premium"), renewal("free", &of_free)] {
        let refusal = registry.allocate(&body).await;
        let refusal = refusal.not_allocated(429, "renewals_only", 600);
        assert_eq!(refusal["limit"], limit("newSessions", 0));
        assert_eq!(refusal["mode"], "emergency");
    }
    let body = renewal("premium", &of_premium);
    let renewed = registry.allocate(&body).await.ok();
    assert_eq!(limits(&renewed), (5, 300));
    registry.advance_secs(299);
    registry.allocate(&body).await.ok();
    registry.advance_secs(300);
    registry
        .allocate(&body)
        .await
        .refused(404, "session_not_found");
}

#[actix_web::test]
async fn shutdown_relays_nothing_and_keeps_everything_else_going() {
    let registry = start(&[]).await;
    let of_premium = registry.allocate(&ask("premium")).await.ok();
    force(&registry, "shutdown").await;
    for body in [ask("free"), ask("premium"), renewal("premium", &of_premium)] {
        let refusal = registry.allocate(&body).await;
        let refusal = refusal.not_allocated(503, "relay_shutdown", 3600);
        assert_eq!(refusal["limit"], limit("sessions", 0));
        assert_eq!(refusal["mode"], "shutdown");
    }
    registry.register(&peer("new")).await.ok();
    registry.heartbeat("new").await.ok();
    registry.register(&turn_server("turn-2", 1)).await.ok();
    assert_eq!(registry.peers("").await.ok()["total"], 5);
    assert_eq!(registry.turn_servers().await.ok()["total"], 2);
    let usage = json!([{ "sessionId": session_id(&of_premium), "bytesTransferred": 1 }]);
    let report = json!({ "peerId": "turn", "sessions": usage });
    assert_eq!(registry.report(&report).await.ok()["accepted"], 1);
    let release = json!({ "peerId": "premium", "sessionId": session_id(&of_premium) });
    registry.release(&release).await.ok();
    let health = registry.health().await.ok();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["costInfo"]["mode"], "shutdown");
    // Only mode `shutdown` is `degraded`.
    force(&registry, "emergency").await;
    assert_eq!(registry.health().await.ok()["status"], "healthy");
}

#[actix_web::test]
async fn from_warning_on_no_peer_gets_more_than_a_quarter_of_the_bandwidth() {
    let registry = start(&[]).await;
    premium(&registry, "others").await;
    registry.allocate(&mbps("others", 90)).await.ok();
    // Mode `normal` has no limit on a peer's share.
    let first = registry.allocate(&mbps("premium", 100)).await.ok();
    assert_eq!(limits(&first), (100, 3600));
    force(&registry, "warning").await;
    let refusal = registry.allocate(&mbps("premium", 1)).await;
    let refusal = refusal.not_allocated(429, "bandwidth_share", 60);
    assert_eq!(refusal["limit"], limit("bandwidthShareMbps", 30));
    // A renewal reduces it to a quarter: 30 of 120.
    let renewed = registry.allocate(&renewal("premium", &first)).await.ok();
    assert_eq!(limits(&renewed).0, 30);
    let body = json!({ "peerId": "premium", "sessionId": session_id(&first) });
    registry.release(&body).await.ok();
    for (asked, granted) in [(20, 20), (20, 10)] {
        let answer = registry.allocate(&mbps("premium", asked)).await.ok();
        assert_eq!(limits(&answer).0, granted);
    }
    let refusal = registry.allocate(&mbps("premium", 1)).await;
    refusal.not_allocated(429, "bandwidth_share", 60);
}

#[actix_web::test]
async fn refusals_are_counted_by_their_reason() {
    let registry = start(&[]).await;
    registry.allocate(&ask("free")).await.ok();
    registry.allocate(&ask("free")).await;
    for mode in ["warning", "throttle", "emergency", "shutdown"] {
        force(&registry, mode).await;
        registry.allocate(&json!({ "peerId": "free" })).await;
        registry.allocate(&json!({ "peerId": "premium" })).await;
    }
    let stats = registry.cost_stats().await.ok();
    let refused = json!({
        "session_limit": 1, "attempt_p2p_first": 3, "premium_only": 1, "renewals_only": 2,
        "relay_shutdown": 2,
    });
    assert_eq!(
        stats["allocations"],
        json!({ "granted": 1, "refused": refused })
    );
}

#[actix_web::test]
async fn listings_shrink_to_100_only_for_a_reader_that_lists_more_than_once_a_minute() {
    let registry = start(&[]).await;
    let peers: Vec<_> = (0..120).map(|at| peer(&format!("peer-{at:03}"))).collect();
    let registrations = peers.iter().map(|body| registry.register(body));
    futures_util::future::join_all(registrations).await;
    for (mode, repeated) in [
        ("normal", 123),
        ("warning", 123),
        ("throttle", 100),
        ("emergency", 100),
        ("shutdown", 100),
    ] {
        force(&registry, mode).await;
        // The reader has listed nothing for a minute.
        registry.advance_secs(60);
        registry.heartbeat("peer-000").await.ok();
        for (query, most) in [("", 123), ("limit=110", 110), ("limit=7", 7)] {
            let listing = registry.peers(query).await.ok();
            let expected = if query.is_empty() {
                123
            } else {
                most.min(repeated)
            };
            assert_eq!(listing["returned"], expected, "{mode} {query}");
            assert_eq!(listing["peers"].as_array().unwrap().len(), expected);
            assert_eq!(listing["total"], 123);
        }
        // Pages after the first one are as long as ever.
        let first = registry.peers("").await.ok();
        let cursor = first["nextCursor"].as_str();
        if let Some(cursor) = cursor {
            let rest = registry.peers(&format!("cursor={cursor}")).await.ok();
            assert_eq!(rest["returned"], 23, "{mode}");
        }
        assert_eq!(registry.listed_ids().await.len(), 123, "{mode}");
    }
}

#[actix_web::test]
async fn a_short_page_and_a_long_one_have_different_tags() {
    let registry = start(&[]).await;
    force(&registry, "throttle").await;
    let mut tags = Vec::new();
    for _ in 0..3 {
        let listing = registry.peers("").await;
        tags.push(listing.header("etag").unwrap().to_owned());
    }
    assert_ne!(tags[0], tags[1]);
    assert_eq!(tags[1], tags[2]);
}

#[actix_web::test]
async fn a_mode_cannot_be_forced_until_a_time_in_the_past() {
    let registry = start(&[]).await;
    let body = json!({ "mode": "shutdown", "until": "2026-01-01T00:00:00Z" });
    let refused = registry.set_mode(&body).await.refused(400, "invalid_field");
    assert_eq!(refused["field"], "until");
    assert_eq!(mode(&registry).await, "normal");
}

#[actix_web::test]
async fn a_forced_mode_ends_at_its_time() {
    let registry = start(&[]).await;
    force(&registry, "shutdown").await;
    let stats = registry.cost_stats().await.ok();
    let expected = json!({
        "name": "shutdown", "budgetMode": "normal", "emergency": true, "shutdown": true,
        "currentThreshold": "shutdown", "thresholdRatio": 0.98,
        "forcedUntil": "2026-01-02T00:00:00.000Z", "since": "2026-01-01T00:00:00.000Z",
    });
    assert_eq!(stats["mode"], expected);
    registry.advance_ms(86_399_999);
    assert_eq!(mode(&registry).await, "shutdown");
    registry.advance_ms(1);
    assert_eq!(mode(&registry).await, "normal");
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["mode"]["forcedUntil"], Value::Null);
    registry.allocate(&ask("free")).await.ok();
}

#[actix_web::test]
async fn a_forced_mode_is_ended_early_by_null_and_outlives_a_restart() {
    let mut registry = start(&[]).await;
    force(&registry, "throttle").await;
    registry.stop().await;
    registry.resume().await;
    assert_eq!(mode(&registry).await, "throttle");
    let answer = registry.set_mode(&json!({ "mode": null })).await.ok();
    assert_eq!(answer["mode"], "normal");
    registry.stop().await;
    registry.resume().await;
    assert_eq!(mode(&registry).await, "normal");
}

#[actix_web::test]
async fn a_mode_from_the_settings_holds_until_its_end_or_without_end() {
    let registry = start(&["--mode-override=shutdown"]).await;
    registry.advance_secs(80_000);
    assert_eq!(mode(&registry).await, "shutdown");
    // The mode that the operator forces takes precedence.
    force(&registry, "warning").await;
    assert_eq!(mode(&registry).await, "warning");
    registry.advance_secs(86_400);
    assert_eq!(mode(&registry).await, "shutdown");

    let registry = start(&["--mode-override=throttle@2026-01-01T01:00:00+00:00"]).await;
    registry.advance_ms(3_599_999);
    assert_eq!(mode(&registry).await, "throttle");
    registry.advance_ms(1);
    assert_eq!(mode(&registry).await, "normal");
}

#[actix_web::test]
async fn a_forced_mode_may_be_looser_than_the_budget_requires() {
    let registry = start(&["--monthly-budget-usd=1"]).await;
    assert_eq!(mode(&registry).await, "shutdown");
    force(&registry, "normal").await;
    let granted = registry.allocate(&json!({ "peerId": "free" })).await.ok();
    assert_eq!(granted["costInfo"]["currentCostRatio"], 60.0);
    assert_eq!(limits(&granted), (5, 3600));
}
