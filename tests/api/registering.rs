//! Registering a peer and renewing its lease: requests, responses and stored rows.

use serde_json::{Value, json};

use crate::helpers::{START_MS, TestRegistry, peer};

const ALL: &str = "includeStores=true&includeCapabilities=true";

/// A registration in which every field is announced.
fn full_peer(id: &str) -> Value {
    json!({
        "peerId": id,
        "addresses": ["/ip6/fd00::1/tcp/4001", "/ip6/fd00::1/udp/4001/quic-v1"],
        "cryptoIPv6": "fd00::1",
        "realAddresses": ["/ip4/198.51.100.7/tcp/4001"],
        "stores": ["store-b", "store-a"],
        "version": "1.2.3",
        "privacyMode": true,
        "capabilities": {"storeSync": true, "nested": {"list": [1, null, "x", 2.5]}},
        "turnCapable": true,
        "bootstrapCapable": true,
        "turnAddresses": ["203.0.113.20", "turn.example.org"],
        "turnPort": 3478,
        "turnCapacity": 25,
        "networkId": "mainnet",
        "softwareVersion": "2.3.4",
        "serverPort": 9256,
        "nodeType": 3,
        "capabilityList": [[1, "Store synchronization"], [4, "End-to-end encryption"]],
    })
}

/// The only row of the peer table, without its id and times.
async fn profile_row(registry: &TestRegistry) -> Value {
    let mut rows = registry.stored_rows().await;
    assert_eq!(rows.len(), 1);
    let mut row = rows.remove(0);
    for column in ["id", "last_seen", "registered_at"] {
        row.as_object_mut().unwrap().remove(column).unwrap();
    }
    row
}

#[actix_web::test]
async fn registration_is_answered_with_every_field_of_the_contract() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("gone")).await.ok();
    registry.advance_secs(300);
    registry.register(&peer("other")).await.ok();
    registry.advance_ms(300_001);
    let expected = json!({
        "success": true,
        "peerId": "a",
        "totalPeers": 2,
        "cleanedExpiredPeers": 1,
        "timestamp": "2026-01-01T00:10:00.001Z",
        "lastSeen": START_MS + 600_001,
        "expiresAt": START_MS + 1_200_001,
        "heartbeatIntervalSecs": 120,
        "registrationDigest": "c4c4e629c5556ad5",
    });
    let answer = registry.register(&peer("a")).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.ok(), expected);
}

#[actix_web::test]
async fn heartbeat_is_answered_with_every_field_of_the_contract() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("gone")).await.ok();
    registry.advance_secs(300);
    registry.register(&peer("a")).await.ok();
    registry.register(&peer("other")).await.ok();
    registry.advance_ms(300_001);
    let expected = json!({
        "success": true,
        "peerId": "a",
        "lastSeen": START_MS + 600_001,
        "totalPeers": 2,
        "cleanedExpiredPeers": 1,
        "timestamp": "2026-01-01T00:10:00.001Z",
        "expiresAt": START_MS + 1_200_001,
        "heartbeatIntervalSecs": 120,
        "registrationDigest": "c4c4e629c5556ad5",
    });
    assert_eq!(registry.heartbeat("a").await.ok(), expected);
}

#[actix_web::test]
async fn responses_name_the_lease_and_heartbeat_interval_of_the_settings() {
    let flags = ["--peer-timeout-secs=40", "--heartbeat-interval-secs=7"];
    let registry = TestRegistry::start_with(&flags).await;
    for answer in [
        registry.register(&peer("a")).await.ok(),
        registry.heartbeat("a").await.ok(),
    ] {
        assert_eq!(answer["expiresAt"], START_MS + 40_000);
        assert_eq!(answer["heartbeatIntervalSecs"], 7);
    }
}

#[actix_web::test]
async fn every_listed_field_comes_back_as_announced() {
    let registry = TestRegistry::start().await;
    let body = full_peer("a");
    registry.register(&body).await.ok();
    let mut expected = json!({ "lastSeen": START_MS, "authenticated": false });
    for field in [
        "peerId",
        "addresses",
        "cryptoIPv6",
        "stores",
        "version",
        "privacyMode",
        "capabilities",
        "turnCapable",
        "bootstrapCapable",
        "networkId",
        "capabilityList",
    ] {
        expected[field] = body[field].clone();
    }
    let listing = registry.peers(ALL).await.ok();
    assert_eq!(listing["peers"], json!([expected]));
    let servers = registry.turn_servers().await.ok();
    for field in ["turnAddresses", "turnPort", "turnCapacity"] {
        assert_eq!(servers["servers"][0][field], body[field], "{field}");
    }
}

#[actix_web::test]
async fn every_announced_field_is_in_the_peer_table() {
    let registry = TestRegistry::start().await;
    let body = full_peer("a");
    registry.register(&body).await.ok();
    let text = |field: &str| body[field].to_string();
    let expected = json!({
        "peer_id": "a",
        "network_id": "mainnet",
        "version": "1.2.3",
        "crypto_ipv6": "fd00::1",
        "addresses": text("addresses"),
        "privacy_mode": 1,
        "bootstrap_capable": 1,
        "turn_capable": 1,
        "turn_addresses": text("turnAddresses"),
        "turn_port": 3478,
        "turn_capacity": 25,
        "software_version": "2.3.4",
        "server_port": 9256,
        "node_type": 3,
        "stores": text("stores"),
        "capabilities": text("capabilities"),
        "capability_list": text("capabilityList"),
        "authenticated": 0,
    });
    assert_eq!(profile_row(&registry).await, expected);
}

#[actix_web::test]
async fn fields_not_announced_are_null_false_or_empty_in_a_listing() {
    let registry = TestRegistry::start_with(&["--address-policy=any"]).await;
    let body = json!({ "peerId": "a", "addresses": [] });
    registry.register(&body).await.ok();
    let expected = json!([{
        "peerId": "a",
        "addresses": [],
        "cryptoIPv6": null,
        "lastSeen": START_MS,
        "version": null,
        "turnCapable": false,
        "bootstrapCapable": false,
        "privacyMode": false,
        "networkId": null,
        "authenticated": false,
        "stores": [],
        "capabilities": null,
        "capabilityList": null,
    }]);
    assert_eq!(registry.peers(ALL).await.ok()["peers"], expected);
}

#[actix_web::test]
async fn null_optional_fields_count_as_absent() {
    let nulls = TestRegistry::start().await;
    let mut body = full_peer("a");
    for (field, value) in body.as_object_mut().unwrap() {
        if !["peerId", "addresses"].contains(&field.as_str()) {
            *value = Value::Null;
        }
    }
    nulls.register(&body).await.ok();
    let absent = TestRegistry::start().await;
    let least = json!({ "peerId": "a", "addresses": body["addresses"] });
    absent.register(&least).await.ok();
    assert_eq!(profile_row(&nulls).await, profile_row(&absent).await);
    assert_eq!(
        nulls.peers(ALL).await.ok()["peers"],
        absent.peers(ALL).await.ok()["peers"]
    );
}

#[actix_web::test]
async fn unknown_fields_are_ignored() {
    let plain = TestRegistry::start().await;
    plain.register(&full_peer("a")).await.ok();
    let registry = TestRegistry::start().await;
    let mut body = full_peer("a");
    body["zkProofSupported"] = json!(true);
    body["lastSeen"] = json!(1);
    body["peer_id"] = json!({ "deep": [["unheard-of"]] });
    registry.register(&body).await.ok();
    let heartbeat = json!({ "peerId": "a", "addresses": 5, "surprise": null });
    registry.post("/heartbeat", &heartbeat).await.ok();
    assert_eq!(profile_row(&registry).await, profile_row(&plain).await);
    let listing = registry.peers(ALL).await.ok();
    assert_eq!(listing, plain.peers(ALL).await.ok());
    assert!(!listing.to_string().contains("unheard-of"));
}

#[actix_web::test]
async fn quotes_and_backslashes_come_back_as_they_were_sent() {
    let registry = TestRegistry::start_with(&["--address-policy=any"]).await;
    let odd = "a\"b\\c\\n</script>'é☃😀\u{fe0f}";
    let body = json!({
        "peerId": "a", "addresses": ["x\"y\\z"], "stores": [odd], "version": odd,
        "networkId": odd, "softwareVersion": odd,
        "capabilities": {odd: [odd]}, "capabilityList": [[1, odd]],
    });
    registry.register(&body).await.ok();
    let listing = registry.peers(ALL).await.ok();
    for (field, value) in body.as_object().unwrap() {
        if field != "softwareVersion" {
            assert_eq!(&listing["peers"][0][field], value, "{field}");
        }
    }
    assert_eq!(profile_row(&registry).await["software_version"], odd);
}

#[actix_web::test]
async fn numbers_in_capabilities_come_back_exactly() {
    let registry = TestRegistry::start().await;
    let numbers =
        r#"{"float":97.45365320034685,"least":-9223372036854775808,"most":18446744073709551615}"#;
    let text = format!(r#"{{"peerId":"a","addresses":["/ip6/fd00::1"],"capabilities":{numbers}}}"#);
    registry
        .post_raw("/register", "application/json", text)
        .await
        .ok();
    let request = registry.request(reqwest::Method::GET, &format!("/peers?{ALL}"));
    let listing = request.send().await.unwrap().text().await.unwrap();
    assert!(listing.contains(numbers), "{listing}");
}

#[actix_web::test]
async fn registering_again_replaces_the_whole_profile_and_keeps_registered_at() {
    let mut registry = TestRegistry::start().await;
    registry.register(&full_peer("a")).await.ok();
    registry.advance_secs(60);
    let mut body = json!({ "peerId": "a", "addresses": ["/ip6/fd00::2/tcp/1"] });
    body["turnCapable"] = json!(false);
    assert_eq!(registry.register(&body).await.ok()["totalPeers"], 1);
    let replaced = profile_row(&registry).await;
    let row = &registry.stored_rows().await[0];
    assert_eq!(row["registered_at"], START_MS);
    assert_eq!(row["last_seen"], START_MS + 60_000);

    let fresh = TestRegistry::start().await;
    fresh.advance_secs(60);
    fresh.register(&body).await.ok();
    assert_eq!(replaced, profile_row(&fresh).await);
    let listing = registry.peers(ALL).await.ok();
    assert_eq!(listing, fresh.peers(ALL).await.ok());
    // The table and the listing agree on the new profile.
    registry.stop().await;
    registry.resume().await;
    assert_eq!(registry.peers(ALL).await.ok()["peers"], listing["peers"]);
}

#[actix_web::test]
async fn registering_again_without_change_renews_the_lease() {
    let registry = TestRegistry::start().await;
    registry.register(&full_peer("a")).await.ok();
    let before = profile_row(&registry).await;
    registry.advance_secs(599);
    let answer = registry.register(&full_peer("a")).await.ok();
    assert_eq!(answer["lastSeen"], START_MS + 599_000);
    assert_eq!(answer["expiresAt"], START_MS + 1_199_000);
    registry.advance_secs(599);
    assert_eq!(registry.listed_ids().await, ["a"]);
    assert_eq!(profile_row(&registry).await, before);
    let row = &registry.stored_rows().await[0];
    assert_eq!(row["last_seen"], START_MS + 599_000);
    assert_eq!(row["registered_at"], START_MS);
}

#[actix_web::test]
async fn heartbeat_of_an_unknown_peer_is_told_to_register() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    let body = registry
        .heartbeat("nobody")
        .await
        .refused(404, "peer_not_found");
    let suggestion = body["suggestion"].as_str().unwrap();
    assert!(suggestion.contains("POST /register"), "{suggestion}");
    assert_eq!(registry.stored_ids().await, ["a"]);
}
