//! `GET /peers/{peerId}`

use peer_registry::protocol::PeerResponse;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::{TestRegistry, peer, with_peers};
use crate::settled::register_body;

#[actix_web::test]
async fn one_peer_is_shown_with_the_same_json_as_in_a_listing() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("b")).await.ok();
    registry.register(&register_body()).await.ok();
    registry.advance_secs(60);
    for query in [
        "",
        "includeStores=true",
        "includeCapabilities=true",
        "includeStores=true&includeCapabilities=true",
    ] {
        let answer = registry.get(&format!("/peers/a?{query}")).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let shown = answer.ok();
        let listing = registry.peers(&format!("{query}&exclude=b")).await.ok();
        let expected = json!({
            "peer": listing["peers"][0], "timestamp": listing["timestamp"],
        });
        assert_eq!(shown, expected);
        let read: PeerResponse = serde_json::from_value(shown).unwrap();
        assert_eq!(read.peer.stores.is_some(), query.contains("Stores"));
    }
}

#[actix_web::test]
async fn an_unknown_or_inactive_peer_is_not_found() {
    let registry = with_peers(&[], &["a"]).await;
    registry.get("/peers/a").await.ok();
    let error = registry
        .get("/peers/b")
        .await
        .refused(404, "peer_not_found");
    assert!(error["suggestion"].as_str().unwrap().contains("/register"));
    registry.advance_secs(600);
    registry.get("/peers/a").await.ok();
    registry.advance_ms(1);
    registry
        .get("/peers/a")
        .await
        .refused(404, "peer_not_found");
    // Before the cleanup, a heartbeat revives it.
    registry.heartbeat("a").await.ok();
    registry.get("/peers/a").await.ok();
    let stats = registry.stats().await.ok();
    assert_eq!(stats["refusals"]["peer_not_found"], 2);
}

#[actix_web::test]
async fn heads_other_methods_and_odd_ids_are_answered_in_the_usual_form() {
    let registry = with_peers(&[], &["a.b-c_d"]).await;
    registry.get("/peers/a%2Eb-c_d").await.ok();
    let head = registry.request(Method::HEAD, "/peers/a.b-c_d");
    let head = head.send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_ne!(head.headers()["content-length"], "0");
    let head = registry.request(Method::HEAD, "/peers/nobody");
    assert_eq!(head.send().await.unwrap().status(), 404);
    let answer = registry.post("/peers/a.b-c_d", &json!({})).await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, DELETE"));
    answer.refused(405, "method_not_allowed");
    for id in ["a%20b", "%FF", "a%2Fb", "%00", "\u{fc}", "a%22b"] {
        let error = registry.get(&format!("/peers/{id}")).await;
        let error = error.refused(400, "invalid_field");
        assert_eq!(error["field"], "peerId", "{id}");
    }
    let error = registry.get("/peers/a.b-c_d?includeStores=7").await;
    error.refused(400, "invalid_field");
}

#[actix_web::test]
async fn health_says_how_long_a_lease_lasts_and_when_to_renew() {
    let flags = ["--peer-timeout-secs=60", "--heartbeat-interval-secs=20"];
    let registry = TestRegistry::start_with(&flags).await;
    let health: Value = Answer::ok(registry.health().await);
    let terms = (&health["leaseSecs"], &health["heartbeatIntervalSecs"]);
    assert_eq!(terms, (&json!(60), &json!(20)));
}
