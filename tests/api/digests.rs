//! Digests of registrations, and nodes that share a key.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, peer, turn_server, with_peers};
use crate::settled::register_body;

/// Another announcement of the same peer.
fn version(id: &str, version: &str) -> Value {
    let mut body = peer(id);
    body["version"] = json!(version);
    body
}

#[track_caller]
fn digest(answer: &Value) -> String {
    let digest = answer["registrationDigest"].as_str().expect("a digest");
    assert_eq!(digest.len(), 16, "{digest}");
    digest.to_owned()
}

async fn register(registry: &TestRegistry, body: &Value) -> String {
    digest(&registry.register(body).await.ok())
}

async fn heartbeat(registry: &TestRegistry, id: &str) -> String {
    digest(&registry.heartbeat(id).await.ok())
}

#[actix_web::test]
async fn a_registration_was_replaced_without_a_word() {
    let registry = TestRegistry::start().await;
    let mine = register(&registry, &version("a", "1")).await;
    registry.advance_secs(60);
    assert_eq!(heartbeat(&registry, "a").await, mine);
    let other = register(&registry, &version("a", "2")).await;
    assert_ne!(other, mine);
    assert_eq!(heartbeat(&registry, "a").await, other);
    assert_eq!(register(&registry, &version("a", "1")).await, mine);
    // Another peer's registration with the same contents has the same digest.
    registry.register(&peer("b")).await.ok();
    assert_eq!(heartbeat(&registry, "a").await, mine);
}

#[actix_web::test]
async fn every_stored_field_changes_the_digest_and_a_restart_does_not() {
    let mut registry = TestRegistry::start().await;
    let good = register_body();
    let mut digests = vec![register(&registry, &good).await];
    let changes = [
        ("addresses", json!([])),
        ("cryptoIPv6", json!("fd00:0::1")),
        ("stores", json!(["t"])),
        ("version", json!("2")),
        ("privacyMode", json!(true)),
        ("capabilities", json!({})),
        ("turnAddresses", json!(["203.0.113.21"])),
        ("turnPort", json!(3479)),
        ("turnCapacity", json!(11)),
        ("turnCapable", json!(false)),
        ("bootstrapCapable", json!(true)),
        ("networkId", json!("testnet")),
        ("softwareVersion", json!("2")),
        ("serverPort", json!(4002)),
        ("nodeType", json!(1)),
        ("capabilityList", json!([[2, "x"]])),
    ];
    for (field, value) in changes {
        let mut body = good.clone();
        body[field] = value;
        let changed = register(&registry, &body).await;
        assert!(!digests.contains(&changed), "{field}");
        assert_eq!(heartbeat(&registry, "a").await, changed, "{field}");
        registry.stop().await;
        registry.resume().await;
        assert_eq!(heartbeat(&registry, "a").await, changed, "{field}");
        assert_eq!(register(&registry, &body).await, changed, "{field}");
        digests.push(changed);
    }
    // What is not stored changes nothing.
    let mut body = good.clone();
    body["realAddresses"] = json!({ "ipv4": "203.0.113.9" });
    assert_eq!(register(&registry, &body).await, digests[0]);
}

#[actix_web::test]
async fn a_turn_offer_returns_the_digest_that_heartbeats_bring() {
    let registry = with_peers(&[], &["a"]).await;
    let before = heartbeat(&registry, "a").await;
    let mut offer = turn_server("a", 7);
    let offered = digest(&registry.register_turn_server(&offer).await.ok());
    assert_ne!(offered, before);
    assert_eq!(heartbeat(&registry, "a").await, offered);
    // The same offer in a registration stores the same.
    offer["turnCapable"] = json!(true);
    assert_eq!(register(&registry, &offer).await, offered);
}

/// Whether the last response warns, and what the registry has counted.
async fn warned(registry: &TestRegistry, answer: &Value) -> (bool, u64) {
    let stats = registry.stats().await.ok();
    let counted = stats["alternatingRegistrations"].as_u64().unwrap();
    (answer["warning"].is_string(), counted)
}

#[actix_web::test]
async fn two_nodes_with_one_key_overwrote_each_other_in_silence() {
    let registry = TestRegistry::start().await;
    let (mine, other) = (version("a", "1"), version("a", "2"));
    for (body, expected) in [
        (&mine, (false, 0)),
        (&other, (false, 0)),
        (&mine, (true, 1)),
        // The same again is no turn.
        (&mine, (true, 1)),
        (&other, (true, 2)),
    ] {
        registry.advance_secs(60);
        let answer = registry.register(body).await.ok();
        assert_eq!(warned(&registry, &answer).await, expected);
        let answer = registry.heartbeat("a").await.ok();
        assert_eq!(warned(&registry, &answer).await, expected);
    }
    // Both are warned for a lease.
    registry.advance_secs(600);
    let answer = registry.heartbeat("a").await.ok();
    let warning = answer["warning"].as_str().unwrap();
    assert!(warning.contains("same key"), "{warning}");
    registry.advance_ms(1);
    let answer = registry.heartbeat("a").await.ok();
    assert_eq!(warned(&registry, &answer).await, (false, 2));
    // Another peer is not warned.
    let answer = registry.register(&peer("b")).await.ok();
    assert_eq!(answer.get("warning"), None);
}

#[actix_web::test]
async fn several_nodes_with_one_key_are_noticed() {
    for nodes in [3_usize, 5, 9] {
        let registry = TestRegistry::start().await;
        for at in 0..2 * nodes {
            let body = version("a", &(at % nodes).to_string());
            let answer = registry.register(&body).await.ok();
            let expected = u64::try_from((at + 1).saturating_sub(nodes)).unwrap();
            assert_eq!(warned(&registry, &answer).await, (at >= nodes, expected));
        }
    }
}

#[actix_web::test]
async fn turn_offers_that_alternate_are_noticed_and_told_to_both() {
    let registry = with_peers(&[], &["a"]).await;
    let (mine, other) = (turn_server("a", 7), turn_server("a", 8));
    for (offer, expected) in [
        (&mine, (false, 0)),
        (&other, (false, 0)),
        (&mine, (true, 1)),
        (&mine, (true, 1)),
        (&other, (true, 2)),
    ] {
        registry.advance_secs(60);
        let answer = registry.register_turn_server(offer).await.ok();
        assert_eq!(warned(&registry, &answer).await, expected);
        let answer = registry.heartbeat("a").await.ok();
        assert_eq!(warned(&registry, &answer).await, expected);
    }
    // One of five, each of which also registers.
    let registry = TestRegistry::start().await;
    for at in 0..10 {
        let node = at % 5;
        registry
            .register(&version("a", &node.to_string()))
            .await
            .ok();
        let offer = turn_server("a", node + 1);
        let answer = registry.register_turn_server(&offer).await.ok();
        assert_eq!(warned(&registry, &answer).await.0, at >= 5, "{at}");
    }
}

#[actix_web::test]
async fn a_node_that_changes_its_announcement_is_not_taken_for_two() {
    let registry = TestRegistry::start().await;
    for at in 0..20 {
        let answer = registry.register(&version("a", &at.to_string())).await.ok();
        assert_eq!(warned(&registry, &answer).await, (false, 0));
    }
    // What it announced more than a lease ago may come back.
    registry.register(&version("b", "1")).await.ok();
    registry.register(&version("b", "2")).await.ok();
    registry.advance_secs(300);
    registry.heartbeat("b").await.ok();
    registry.advance_ms(300_001);
    let answer = registry.register(&version("b", "1")).await.ok();
    assert_eq!(warned(&registry, &answer).await, (false, 0));
    // A relay that registers as a peer and as a TURN server, again and again. One in the field
    // names two different ports.
    let mut in_one_step = turn_server("relay", 7);
    in_one_step["turnCapable"] = json!(true);
    in_one_step["turnPort"] = json!(4001);
    let mut without = peer("relay");
    without["turnCapable"] = json!(false);
    for body in [without, in_one_step] {
        for _ in 0..4 {
            let answer = registry.register(&body).await.ok();
            assert_eq!(warned(&registry, &answer).await, (false, 0));
            let offer = turn_server("relay", 7);
            let answer = registry.register_turn_server(&offer).await.ok();
            assert_eq!(warned(&registry, &answer).await, (false, 0));
        }
    }
}

#[actix_web::test]
async fn registrations_that_alternate_within_one_batch_are_noticed() {
    let registry = TestRegistry::start().await;
    registry.register(&version("a", "1")).await.ok();
    let bodies: Vec<_> = (0..32)
        .map(|at| version("a", if at % 2 == 0 { "2" } else { "1" }))
        .collect();
    let answers = bodies.iter().map(|body| registry.register(body));
    let answers = futures_util::future::join_all(answers).await;
    let mut latest = Value::Null;
    for answer in answers {
        latest = answer.ok();
        digest(&latest);
    }
    let (_, counted) = warned(&registry, &latest).await;
    assert!(counted > 0);
    let answer = registry.heartbeat("a").await.ok();
    assert!(answer["warning"].is_string());
}
