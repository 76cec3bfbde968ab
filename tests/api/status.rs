//! Stats and health, and the headers of every response.

use std::io::Read;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::helpers::{TestRegistry, peer};

fn relay(id: &str) -> Value {
    let mut body = peer(id);
    body["turnCapable"] = json!(true);
    body["turnAddresses"] = json!(["203.0.113.20"]);
    body["turnPort"] = json!(3478);
    body
}

/// The answer to a request without a body, undecoded.
pub async fn send(
    registry: &TestRegistry,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Response {
    let mut request = registry.request(method, target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[actix_web::test]
async fn stats_of_a_new_registry_are_zero_in_every_field() {
    let registry = TestRegistry::start().await;
    let expected = json!({
        "totalPeers": 0,
        "activePeers": 0,
        "turnServers": 0,
        "uptime": 0,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "registrations": 0,
        "heartbeats": 0,
        "heartbeatsRefused": 0,
        "cleanups": 0,
        "peersCleaned": 0,
        "lastCleanup": null,
        "peerBytes": 0,
        "maxPeerBytes": registry.config.registry.max_memory_bytes,
        "outageCreditSecs": 0,
        "logLinesDropped": 0, "alternatingRegistrations": 0,
        "refusals": {},
    });
    assert_eq!(registry.stats().await.ok(), expected);
}

#[actix_web::test]
async fn stats_count_what_happened_in_every_field() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.register(&relay("b")).await.ok();
    registry.register(&relay("c")).await.ok();
    registry.register(&peer("a")).await.ok();
    for _ in 0..3 {
        registry
            .heartbeat("nobody")
            .await
            .refused(404, "peer_not_found");
    }
    registry.advance_secs(400);
    registry.heartbeat("a").await.ok();
    registry.heartbeat("b").await.ok();
    registry.advance_ms(200_001);
    // The lease of c has run out, and nothing has cleaned up yet.
    let stats = registry.stats().await.ok();
    assert_eq!(stats["totalPeers"], 3);
    assert_eq!(stats["activePeers"], 2);
    assert_eq!(stats["turnServers"], 1);
    assert_eq!(stats["peersCleaned"], 0);
    assert_eq!(stats["lastCleanup"], "2026-01-01T00:06:40.000Z");
    registry.heartbeat("a").await.ok();
    registry.advance_ms(1_500);
    let stats = registry.stats().await.ok();
    let expected = json!({
        "totalPeers": 2,
        "activePeers": 2,
        "turnServers": 1,
        "uptime": 601,
        "timestamp": "2026-01-01T00:10:01.501Z",
        "registrations": 4,
        "heartbeats": 3,
        "heartbeatsRefused": 3,
        "cleanups": stats["cleanups"],
        "peersCleaned": 1,
        "lastCleanup": "2026-01-01T00:10:00.001Z",
        "peerBytes": stats["peerBytes"],
        "maxPeerBytes": registry.config.registry.max_memory_bytes,
        "outageCreditSecs": 0,
        "logLinesDropped": 0, "alternatingRegistrations": 0,
        "refusals": {"peer_not_found": 3},
    });
    assert_eq!(stats, expected);
    let peer_bytes = stats["peerBytes"].as_u64().unwrap();
    assert!((500..5_000).contains(&peer_bytes), "{peer_bytes}");
}

#[actix_web::test]
async fn each_accepted_mutation_on_its_own_counts_one_cleanup() {
    let registry = TestRegistry::start().await;
    let offer = json!({"peerId": "a", "turnAddresses": ["203.0.113.20"], "turnPort": 1});
    registry.register(&peer("a")).await.ok();
    assert_eq!(registry.stats().await.ok()["cleanups"], 1);
    registry.heartbeat("a").await.ok();
    assert_eq!(registry.stats().await.ok()["cleanups"], 2);
    registry.register_turn_server(&offer).await.ok();
    assert_eq!(registry.stats().await.ok()["cleanups"], 3);
}

#[actix_web::test]
async fn refused_requests_count_as_no_registration_and_no_heartbeat() {
    let registry = TestRegistry::start_with(&["--max-peers=1"]).await;
    registry.register(&peer("a")).await.ok();
    registry
        .register(&peer("b"))
        .await
        .refused(503, "registry_full");
    registry
        .register(&json!({}))
        .await
        .refused(400, "missing_field");
    registry
        .heartbeat("a b")
        .await
        .refused(400, "invalid_field");
    let stats = registry.stats().await.ok();
    assert_eq!(stats["registrations"], 1);
    assert_eq!(stats["heartbeats"], 0);
    assert_eq!(stats["heartbeatsRefused"], 0);
}

#[actix_web::test]
async fn reads_change_no_counter() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(601);
    let before = registry.stats().await.ok();
    registry.peers("").await.ok();
    registry.turn_servers().await.ok();
    registry.health().await.ok();
    assert_eq!(registry.stats().await.ok(), before);
}

#[actix_web::test]
async fn counters_and_uptime_start_anew_with_the_process_and_peers_do_not() {
    let mut registry = TestRegistry::start().await;
    registry.register(&relay("a")).await.ok();
    registry.heartbeat("a").await.ok();
    registry.advance_secs(90);
    registry.stop().await;
    registry.advance_secs(30);
    registry.resume().await;
    registry.advance_secs(5);
    let stats = registry.stats().await.ok();
    for counter in [
        "registrations",
        "heartbeats",
        "heartbeatsRefused",
        "peersCleaned",
    ] {
        assert_eq!(stats[counter], 0, "{counter}");
    }
    assert_eq!(stats["uptime"], 5);
    for count in ["totalPeers", "activePeers", "turnServers"] {
        assert_eq!(stats[count], 1, "{count}");
    }
}

#[actix_web::test]
async fn uptime_is_in_whole_seconds_since_the_start() {
    let registry = TestRegistry::start().await;
    registry.advance_ms(999);
    assert_eq!(registry.stats().await.ok()["uptime"], 0);
    assert_eq!(registry.health().await.ok()["uptime"], 0);
    registry.advance_ms(1);
    assert_eq!(registry.stats().await.ok()["uptime"], 1);
    registry.advance_secs(86_400);
    assert_eq!(registry.stats().await.ok()["uptime"], 86_401);
    assert_eq!(registry.health().await.ok()["uptime"], 86_401);
}

#[actix_web::test]
async fn health_has_every_field_of_the_contract() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("gone")).await.ok();
    registry.register(&relay("gone-too")).await.ok();
    registry.advance_secs(300);
    registry.register(&peer("a")).await.ok();
    registry.register(&relay("b")).await.ok();
    registry.advance_ms(300_001);
    let health = registry.health().await.ok();
    // January 1, ten minutes into the month; only a few bytes were sent.
    let cost = health["costInfo"].as_object().unwrap();
    assert!(cost["budgetUsedRatio"].as_f64().unwrap() < 0.001);
    let expected = json!({
        "status": "healthy",
        "service": "peer-registry",
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": "2026-01-01T00:10:00.001Z",
        "uptime": 600,
        "peers": 2,
        "turnServers": 1,
        "costInfo": {
            "budgetUsed": "0.0%",
            "budgetUsedRatio": cost["budgetUsedRatio"],
            "projectedMonthlyCost": "$60.00",
            "projectedMonthlyCostUsd": 60.0,
            "budgetLimit": "$800.00",
            "budgetLimitUsd": 800.0,
            "mode": "normal",
            "activeSessions": 0,
        },
        "rowsSetAside": 0,
        // Measured once a second.
        "walBytes": health["walBytes"].as_u64().unwrap(),
        "leaseSecs": 600,
        "heartbeatIntervalSecs": 120,
        // Made at the first start.
        "registryPeerId": health["registryPeerId"].as_str().unwrap(),
    });
    assert_eq!(health, expected);
}

#[actix_web::test]
async fn stats_and_health_forbid_caching() {
    let registry = TestRegistry::start().await;
    for answer in [registry.stats().await, registry.health().await] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[actix_web::test]
async fn timestamp_is_rfc_3339_utc_with_milliseconds() {
    let registry = TestRegistry::start().await;
    assert_eq!(
        registry.register(&peer("a")).await.ok()["timestamp"],
        "2026-01-01T00:00:00.000Z"
    );
    registry.advance_ms(86_400_000 + 7);
    let after = "2026-01-02T00:00:00.007Z";
    for target in ["/peers", "/turn-servers", "/stats", "/health"] {
        assert_eq!(registry.get(target).await.ok()["timestamp"], after);
    }
}

#[actix_web::test]
async fn a_listing_is_compressed_only_for_clients_that_accept_it() {
    let registry = TestRegistry::start().await;
    for number in 0..30 {
        registry.register(&peer(&format!("p{number}"))).await.ok();
    }
    let plain = send(&registry, Method::GET, "/peers", &[]).await;
    assert_eq!(plain.headers()["vary"], "Accept-Encoding");
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.text().await.unwrap();
    for accepted in ["gzip", "br, gzip;q=0.5", "identity;q=0, gzip"] {
        let answer = send(
            &registry,
            Method::GET,
            "/peers",
            &[("accept-encoding", accepted)],
        )
        .await;
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{accepted}");
        assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let bytes = answer.bytes().await.unwrap();
        assert!(bytes.len() < plain.len() / 2);
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
        decoder.read_to_string(&mut text).unwrap();
        assert_eq!(text, plain);
    }
    for refused in [
        "identity",
        "gzip;q=0",
        "br",
        "identity;q=0",
        "*;q=0",
        "",
        ";;",
    ] {
        let answer = send(
            &registry,
            Method::GET,
            "/peers",
            &[("accept-encoding", refused)],
        )
        .await;
        assert_eq!(answer.status(), 200, "{refused}");
        assert!(answer.headers().get("content-encoding").is_none());
        assert_eq!(answer.text().await.unwrap(), plain, "{refused}");
    }
}
