//! TURN offers: requests, listings, and how an offer is replaced or withdrawn.

use serde_json::{Value, json};

use crate::helpers::{START_MS, TestRegistry, peer};

fn offer(id: &str) -> Value {
    json!({
        "peerId": id,
        "turnAddresses": ["203.0.113.20", "/dns4/turn.example.org/udp/3478"],
        "turnPort": 3478,
        "turnCapacity": 25,
    })
}

/// A registration that offers to relay in the same step.
fn relay(id: &str, port: u16) -> Value {
    let mut body = peer(id);
    body["turnCapable"] = json!(true);
    body["turnAddresses"] = json!(["203.0.113.20"]);
    body["turnPort"] = json!(port);
    body
}

/// The ports of all TURN servers; their number must be the total.
async fn ports(registry: &TestRegistry) -> Vec<u64> {
    let answer = registry.turn_servers().await.ok();
    let servers = answer["servers"].as_array().unwrap();
    assert_eq!(answer["total"], servers.len());
    servers
        .iter()
        .map(|server| server["turnPort"].as_u64().unwrap())
        .collect()
}

async fn is_turn_capable(registry: &TestRegistry, id: &str) -> bool {
    let listing = registry.peers("").await.ok();
    let peers = listing["peers"].as_array().unwrap();
    let listed = peers.iter().find(|peer| peer["peerId"] == id).unwrap();
    let is_capable = listed["turnCapable"].as_bool().unwrap();
    let query = format!("turnCapable={is_capable}");
    let found = registry.peers(&query).await.ok();
    assert!(found["peers"].as_array().unwrap().contains(listed));
    is_capable
}

#[actix_web::test]
async fn turn_registration_is_answered_with_every_field_of_the_contract() {
    let registry = TestRegistry::start().await;
    registry.register(&relay("gone", 1)).await.ok();
    registry.advance_secs(300);
    registry.register(&relay("other", 2)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry.advance_ms(300_001);
    let expected = json!({
        "success": true,
        "peerId": "a",
        "turnServers": 2,
        "registrationDigest": "fef7aa9a4bc0f558",
        "cleanedExpiredPeers": 1,
        "timestamp": "2026-01-01T00:10:00.001Z",
    });
    let answer = registry.register_turn_server(&offer("a")).await.ok();
    assert_eq!(answer, expected);
    // It renewed the lease, as any accepted mutation does.
    registry.advance_secs(600);
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[actix_web::test]
async fn a_turn_server_is_listed_with_every_field_of_the_contract() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(5);
    registry.register_turn_server(&offer("a")).await.ok();
    let expected = json!({
        "servers": [{
            "peerId": "a",
            "turnAddresses": ["203.0.113.20", "/dns4/turn.example.org/udp/3478"],
            "turnPort": 3478,
            "turnCapacity": 25,
            "currentLoad": 0,
            "lastSeen": START_MS + 5_000,
        }],
        "total": 1,
        "timestamp": "2026-01-01T00:00:05.000Z",
    });
    assert_eq!(registry.turn_servers().await.ok(), expected);
    let row = &registry.stored_rows().await[0];
    assert_eq!(
        row["turn_addresses"],
        expected["servers"][0]["turnAddresses"].to_string()
    );
    assert_eq!(
        (
            &row["turn_port"],
            &row["turn_capacity"],
            &row["turn_capable"]
        ),
        (&json!(3478), &json!(25), &json!(1))
    );
}

#[actix_web::test]
async fn turn_capacity_is_10_unless_it_is_given() {
    let registry = TestRegistry::start().await;
    let mut body = offer("a");
    body.as_object_mut().unwrap().remove("turnCapacity");
    registry.register(&peer("a")).await.ok();
    registry.register_turn_server(&body).await.ok();
    body["peerId"] = json!("b");
    body["turnCapacity"] = Value::Null;
    registry.register(&peer("b")).await.ok();
    registry.register_turn_server(&body).await.ok();
    registry.register(&relay("c", 3478)).await.ok();
    let answer = registry.turn_servers().await.ok();
    assert_eq!(answer["total"], 3);
    for server in answer["servers"].as_array().unwrap() {
        assert_eq!(server["turnCapacity"], 10, "{server}");
    }
}

#[actix_web::test]
async fn turn_registration_of_an_unknown_peer_is_told_to_register() {
    let registry = TestRegistry::start().await;
    let body = registry
        .register_turn_server(&offer("nobody"))
        .await
        .refused(404, "peer_not_found");
    let suggestion = body["suggestion"].as_str().unwrap();
    assert!(suggestion.contains("POST /register"), "{suggestion}");
    assert!(registry.stored_ids().await.is_empty());
    assert!(ports(&registry).await.is_empty());
}

#[actix_web::test]
async fn turn_registration_revives_an_expired_peer_but_not_a_removed_one() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("late")).await.ok();
    registry.register(&peer("later")).await.ok();
    registry.advance_secs(601);
    let answer = registry.register_turn_server(&offer("late")).await.ok();
    assert_eq!(answer["cleanedExpiredPeers"], 1);
    registry
        .register_turn_server(&offer("later"))
        .await
        .refused(404, "peer_not_found");
    assert_eq!(registry.listed_ids().await, ["late"]);
}

#[actix_web::test]
async fn a_peer_that_offers_to_relay_is_listed_as_turn_capable() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    assert!(!is_turn_capable(&registry, "a").await);
    registry.register_turn_server(&offer("a")).await.ok();
    assert!(is_turn_capable(&registry, "a").await);
}

#[actix_web::test]
async fn a_second_turn_registration_replaces_the_first() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.register_turn_server(&offer("a")).await.ok();
    let second = json!({"peerId": "a", "turnAddresses": ["198.51.100.1"], "turnPort": 9});
    let answer = registry.register_turn_server(&second).await.ok();
    assert_eq!(answer["turnServers"], 1);
    let server = &registry.turn_servers().await.ok()["servers"][0];
    assert_eq!(server["turnAddresses"], json!(["198.51.100.1"]));
    assert_eq!(server["turnPort"], 9);
    // Absent fields are reset, not kept.
    assert_eq!(server["turnCapacity"], 10);
}

#[actix_web::test]
async fn turn_registration_keeps_the_rest_of_the_profile() {
    let registry = TestRegistry::start().await;
    let mut body = peer("a");
    for (field, value) in [
        ("version", json!("1.0.0")),
        ("stores", json!(["s"])),
        ("networkId", json!("mainnet")),
        ("capabilities", json!({"x": 1})),
        ("capabilityList", json!([[1, "x"]])),
        ("bootstrapCapable", json!(true)),
        ("privacyMode", json!(true)),
    ] {
        body[field] = value;
    }
    registry.register(&body).await.ok();
    let all = "includeStores=true&includeCapabilities=true";
    let mut expected = registry.peers(all).await.ok()["peers"][0].clone();
    registry.register_turn_server(&offer("a")).await.ok();
    expected["turnCapable"] = json!(true);
    assert_eq!(registry.peers(all).await.ok()["peers"], json!([expected]));
}

#[actix_web::test]
async fn registering_with_turn_capable_false_withdraws_the_offer() {
    for has_turn_fields in [false, true] {
        let registry = TestRegistry::start().await;
        registry.register(&relay("a", 1)).await.ok();
        let mut body = if has_turn_fields {
            relay("a", 2)
        } else {
            peer("a")
        };
        body["turnCapable"] = json!(false);
        registry.register(&body).await.ok();
        assert!(ports(&registry).await.is_empty());
        assert!(!is_turn_capable(&registry, "a").await);
        let row = &registry.stored_rows().await[0];
        for column in ["turn_addresses", "turn_port", "turn_capacity"] {
            assert_eq!(row[column], Value::Null);
        }
        // Withdrawn for good: the next registration brings nothing back.
        registry.register(&peer("a")).await.ok();
        assert!(ports(&registry).await.is_empty());
    }
}

#[actix_web::test]
async fn registering_without_turn_fields_keeps_the_offer() {
    let mut registry = TestRegistry::start().await;
    registry.register(&relay("a", 7)).await.ok();
    for turn_capable in [Value::Null, json!(true)] {
        let mut body = peer("a");
        body["turnCapable"] = turn_capable;
        registry.register(&body).await.ok();
        assert_eq!(ports(&registry).await, [7]);
        assert!(is_turn_capable(&registry, "a").await);
    }
    registry.stop().await;
    registry.resume().await;
    assert_eq!(ports(&registry).await, [7]);
}

#[actix_web::test]
async fn registering_with_turn_capable_and_turn_fields_registers_the_server_in_one_step() {
    let registry = TestRegistry::start().await;
    registry.register(&relay("a", 7)).await.ok();
    assert_eq!(ports(&registry).await, [7]);
    assert!(is_turn_capable(&registry, "a").await);
    registry.register(&relay("a", 8)).await.ok();
    assert_eq!(ports(&registry).await, [8]);
}

#[actix_web::test]
async fn turn_capable_without_turn_fields_lists_the_peer_and_no_server() {
    let registry = TestRegistry::start().await;
    let mut body = peer("a");
    body["turnCapable"] = json!(true);
    registry.register(&body).await.ok();
    assert!(is_turn_capable(&registry, "a").await);
    assert!(ports(&registry).await.is_empty());
}

#[actix_web::test]
async fn turn_fields_without_turn_capable_register_no_server() {
    let registry = TestRegistry::start().await;
    let mut body = relay("a", 7);
    body["turnCapable"] = Value::Null;
    registry.register(&body).await.ok();
    assert!(ports(&registry).await.is_empty());
}

#[actix_web::test]
async fn turn_addresses_that_other_hosts_cannot_reach_are_refused_by_policy() {
    let closed = TestRegistry::start().await;
    let open = TestRegistry::start_with(&["--address-policy=any"]).await;
    for registry in [&closed, &open] {
        registry.register(&peer("a")).await.ok();
    }
    for address in [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.7.7",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "localhost",
        "/ip4/127.0.0.1/udp/3478",
        "/ip6/fe80::1/udp/3478",
        "/dns4/localhost/udp/3478",
    ] {
        let mut body = offer("a");
        body["turnAddresses"] = json!(["203.0.113.20", address]);
        let refusal = closed.register_turn_server(&body).await;
        let refusal = refusal.refused(400, "invalid_field");
        assert_eq!(refusal["field"], "turnAddresses[1]", "{address}");
        let mut one_step = relay("a", 1);
        one_step["turnAddresses"] = json!([address]);
        let refusal = closed.register(&one_step).await;
        let refusal = refusal.refused(400, "invalid_field");
        assert_eq!(refusal["field"], "turnAddresses[0]", "{address}");
        assert!(ports(&closed).await.is_empty());
        // Under `any` they are dropped, as those of peers are.
        let answer = open.register_turn_server(&body).await.ok();
        assert_eq!(
            answer["dropped"][0]["field"], "turnAddresses[1]",
            "{address}"
        );
        let listed = open.turn_servers().await.ok();
        let kept = json!(["203.0.113.20"]);
        assert_eq!(listed["servers"][0]["turnAddresses"], kept, "{address}");
        // If none is left, there is no offer.
        let answer = open.register(&one_step).await.ok();
        assert_eq!(
            answer["dropped"][0]["field"], "turnAddresses[0]",
            "{address}"
        );
        body["turnAddresses"] = json!([address]);
        let refusal = open.register_turn_server(&body).await;
        let refusal = refusal.refused(400, "invalid_field");
        assert_eq!(refusal["field"], "turnAddresses", "{address}");
    }
}

#[actix_web::test]
async fn turn_addresses_that_are_neither_host_nor_multiaddr_are_refused_under_both_policies() {
    for policy in ["--address-policy=crypto-ipv6", "--address-policy=any"] {
        let registry = TestRegistry::start_with(&[policy]).await;
        registry.register(&peer("a")).await.ok();
        for address in [
            "256.1.1.1",
            "turn.example.org:3478",
            "http://x",
            "/ip4/x",
            "/tcp/1",
        ] {
            let mut body = offer("a");
            body["turnAddresses"] = json!([address]);
            let refusal = registry.register_turn_server(&body).await;
            let refusal = refusal.refused(400, "invalid_field");
            assert_eq!(refusal["field"], "turnAddresses[0]", "{address}");
        }
        assert!(ports(&registry).await.is_empty());
    }
}

#[actix_web::test]
async fn turn_servers_beyond_max_listed_are_counted_in_total() {
    let registry = TestRegistry::start_with(&["--max-listed=2"]).await;
    for id in ["a", "b", "c"] {
        registry.register(&relay(id, 1)).await.ok();
    }
    let answer = registry.turn_servers().await.ok();
    assert_eq!(answer["servers"].as_array().unwrap().len(), 2);
    assert_eq!(answer["total"], 3);
}

#[actix_web::test]
async fn private_turn_addresses_are_listed_under_any_only_if_the_operator_says_so() {
    for (private, expected) in [
        ("drop", json!(["203.0.113.20"])),
        ("list", json!(["10.0.0.5", "203.0.113.20"])),
    ] {
        let private = format!("--private-addresses={private}");
        let registry = TestRegistry::start_with(&["--address-policy=any", &private]).await;
        let mut body = relay("a", 1);
        body["turnAddresses"] = json!(["10.0.0.5", "203.0.113.20"]);
        registry.register(&body).await.ok();
        let listed = registry.turn_servers().await.ok();
        assert_eq!(listed["servers"][0]["turnAddresses"], expected);
    }
}

#[actix_web::test]
async fn a_wrong_turn_address_is_named_by_its_position_in_the_list_of_the_node() {
    let registry = TestRegistry::start_with(&["--address-policy=any"]).await;
    let mut body = relay("a", 1);
    body["turnAddresses"] = json!(["", "203.0.113.20", "coturn_1"]);
    let refusal = registry.register(&body).await.refused(400, "invalid_field");
    assert_eq!(refusal["field"], "turnAddresses[2]");
    body["turnAddresses"] = json!(["", "203.0.113.20", "127.0.0.1"]);
    let answer = registry.register(&body).await.ok();
    let dropped = answer["dropped"].as_array().unwrap();
    let named: Vec<_> = dropped.iter().map(|entry| &entry["field"]).collect();
    assert_eq!(named, ["turnAddresses[0]", "turnAddresses[2]"]);
}
