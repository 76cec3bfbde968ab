//! Every refusal is counted by its code.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{TestRegistry, ask, peer};

/// `refusals` in `GET /stats`.
async fn counted(registry: &TestRegistry) -> Value {
    registry.stats().await.ok()["refusals"].clone()
}

#[actix_web::test]
async fn a_hundred_refused_direct_nodes_were_invisible() {
    let registry = TestRegistry::start().await;
    assert_eq!(counted(&registry).await, json!({}));
    for at in 0..100 {
        let body = json!({
            "peerId": format!("direct-{at}"), "addresses": ["/ip4/203.0.113.9/tcp/4001"],
        });
        let answer = registry.register(&body).await;
        answer.refused(403, "privacy_violation");
    }
    let expected = json!({ "privacy_violation": 100 });
    assert_eq!(counted(&registry).await, expected);
}

#[actix_web::test]
async fn refusals_of_every_handler_are_counted() {
    let registry = TestRegistry::start_with_operator(&["--max-peers=1"]).await;
    registry.register(&peer("a")).await.ok();
    registry.register(&peer("b")).await;
    registry.heartbeat("nobody").await;
    registry
        .register_turn_server(&json!({ "peerId": "a" }))
        .await;
    registry.peers("limit=0").await;
    registry.get("/nowhere").await;
    registry.get("/register").await;
    registry.post_raw("/heartbeat", "text/plain", "{}").await;
    registry
        .post_raw("/heartbeat", "application/json", "{")
        .await;
    let long = " ".repeat(registry.config.http.max_body_bytes + 1);
    registry
        .post_raw("/heartbeat", "application/json", long)
        .await;
    registry.allocate(&ask("a")).await;
    registry
        .release(&json!({ "peerId": "a", "sessionId": "none" }))
        .await;
    registry.set_tier("a", "gold").await;
    let request = registry.request(Method::PUT, "/admin/mode");
    request.send().await.unwrap();
    let foreign = registry.request(Method::POST, "/heartbeat");
    let foreign = foreign.header("origin", "https://elsewhere.example");
    foreign.send().await.unwrap();
    // A response to HEAD has no body, but it is a refusal too.
    let head = registry.request(Method::HEAD, "/nowhere");
    head.send().await.unwrap();
    let expected = json!({
        "registry_full": 1, "peer_not_found": 1, "missing_field": 1, "invalid_field": 2,
        "not_found": 2, "method_not_allowed": 1, "unsupported_media_type": 1, "invalid_json": 1,
        "payload_too_large": 1, "no_turn_server": 1, "session_not_found": 1, "unauthorized": 1,
        "foreign_origin": 1,
    });
    assert_eq!(counted(&registry).await, expected);
}

#[actix_web::test]
async fn refusals_of_the_cost_mode_are_counted() {
    let registry = TestRegistry::start_with_operator(&[]).await;
    registry.register(&peer("a")).await.ok();
    for mode in ["warning", "throttle", "emergency", "shutdown"] {
        let body = json!({ "mode": mode, "until": "2026-01-02T00:00:00Z" });
        registry.set_mode(&body).await.ok();
        registry.allocate(&json!({ "peerId": "a" })).await;
    }
    let expected = json!({
        "attempt_p2p_first": 1, "premium_only": 1, "renewals_only": 1, "relay_shutdown": 1,
    });
    assert_eq!(counted(&registry).await, expected);
}

#[actix_web::test]
async fn refusals_that_no_handler_sends_are_counted() {
    let registry = TestRegistry::start().await;
    let max = registry.config.http.max_head_bytes;
    // The gate refuses the shorter head, and the socket the longer one, which never ends.
    for (padding, end) in [(max + 1, "\r\n\r\n"), (3 * max, "")] {
        let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
        let head = format!(
            "GET /peers HTTP/1.1\r\nHost: x\r\nX: {}{end}",
            "x".repeat(padding)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 64];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    assert_eq!(counted(&registry).await, json!({ "head_too_large": 2 }));
}

#[actix_web::test]
async fn input_that_is_not_http_was_in_no_count() {
    let registry = TestRegistry::start().await;
    let inputs: [&[u8]; 4] = [
        b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03\r\n\r\n",
        b"GET /peers\r\n\r\n",
        b"PROXY TCP4 203.0.113.9 203.0.113.1 5000 80\r\nGET /peers HTTP/1.1\r\n\r\n",
        b"GET /peers HTTP/1.1\r\nHost : x\r\n\r\n",
    ];
    for input in inputs {
        let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
        stream.write_all(input).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "invalid_http");
    }
    assert_eq!(counted(&registry).await, json!({ "invalid_http": 4 }));
}
