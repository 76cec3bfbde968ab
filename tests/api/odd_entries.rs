//! Entries that no other peer can use, beside good ones: they cost the node nothing but themselves.

use serde_json::{Value, json};

use crate::dropped::{listed_addresses, registers_without};
use crate::helpers::TestRegistry;

const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";
const ANY: &str = "--address-policy=any";

fn own(tail: &str) -> String {
    format!("/ip6/{OWN}{tail}")
}

/// The crypto-IPv6 that is listed.
async fn listed_crypto_ipv6(registry: &TestRegistry) -> Value {
    registry.peers("").await.ok()["peers"][0]["cryptoIPv6"].take()
}

#[actix_web::test]
async fn one_odd_address_beside_the_own_one_cost_the_whole_node() {
    let registry = TestRegistry::start().await;
    for odd in [
        "foo".to_owned(),
        "/foo/bar".to_owned(),
        "/".to_owned(),
        "/ip6/not-an-address/tcp/1".to_owned(),
        "/ip4/undefined/tcp/4001".to_owned(),
        "/ip4//tcp/4001".to_owned(),
        "/tcp/4001".to_owned(),
        "/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit".to_owned(),
        "/p2p-webrtc-star".to_owned(),
        "/p2p-websocket-star".to_owned(),
        "/unix/run/node.sock".to_owned(),
        "/memory/7".to_owned(),
        format!("[{OWN}]:4001"),
        format!("{OWN}:4001"),
        format!("{OWN}%eth0"),
        format!("tcp://[{OWN}]:4001"),
        format!("/ip6/{OWN}%eth0/tcp/4001"),
        format!("/ip6zone/eth0/ip6/{OWN}/tcp/4001"),
        own("/ipcidr/64"),
        own("/tcp/443/tls/http/http-path/v1%2Findex.html"),
        own("/tcp/443/tls/http/http-path/v1/index.html"),
        own("/tcp/443/ws/p2p-webrtc-star"),
        own("/tcp/443/ws/p2p-websocket-star"),
        own("/tcp/443/x-parity-ws/chat"),
    ] {
        let (first, last) = (own("/tcp/1"), own("/tcp/2"));
        for crypto_ipv6 in [json!(OWN), Value::Null] {
            let body = json!({
                "peerId": "a", "addresses": [first, odd, last], "cryptoIPv6": crypto_ipv6,
            });
            registers_without(&registry, &body, &["addresses[1]"]).await;
            assert_eq!(
                listed_addresses(&registry).await,
                json!([first, last]),
                "{odd}"
            );
        }
        let body = json!({ "peerId": "a", "addresses": [odd], "cryptoIPv6": OWN });
        registers_without(&registry, &body, &["addresses[0]"]).await;
        assert_eq!(listed_addresses(&registry).await, json!([]), "{odd}");
    }
}

#[actix_web::test]
async fn an_odd_address_that_names_another_host_is_still_a_privacy_violation() {
    let registry = TestRegistry::start().await;
    for odd in [
        "198.51.100.7:4001".to_owned(),
        "[2001:db8::1]:4001".to_owned(),
        "[fd00::1]:4001".to_owned(),
        "home.example.org".to_owned(),
        "tcp://home.example.org:4001".to_owned(),
        "/foo/198.51.100.7".to_owned(),
        "/unix/tmp/ip4/198.51.100.7".to_owned(),
        "/dns4/star.example.org/tcp/443/wss/p2p-webrtc-star".to_owned(),
        "/ip6zone/eth0/ip6/fe80::1/tcp/1".to_owned(),
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234".to_owned(),
        format!("user@[{OWN}]:4001"),
        format!("{OWN}%198.51.100.7"),
        own("/tcp/443/tls/sni/home.example.org/ws"),
        own("/tcp/443/tls/http/http-path/x%2F198.51.100.7"),
        own("/tcp/443/ws/p2p-webrtc-star/ip4/198.51.100.7"),
        own("/ipcidr/64/ip4/198.51.100.7"),
    ] {
        let addresses = [own("/tcp/1"), odd];
        let body = json!({ "peerId": "a", "addresses": addresses, "cryptoIPv6": OWN });
        let answer = registry.register(&body).await;
        let error = answer.refused(403, "privacy_violation");
        assert_eq!(error["field"], "addresses[1]", "{body}");
    }
    assert_eq!(registry.stored_rows().await, [Value::Null; 0]);
}

#[actix_web::test]
async fn a_crypto_ipv6_with_something_around_it_is_the_address_alone() {
    for flag in [ANY, "--address-policy=crypto-ipv6"] {
        let registry = TestRegistry::start_with(&[flag]).await;
        for text in [
            format!("[{OWN}]"),
            format!("  {OWN}\n"),
            format!("\t{OWN}"),
            format!("{OWN}/64"),
            format!("[{OWN}]/128"),
            format!("[{OWN}]:4001"),
            format!("{OWN}%eth0"),
        ] {
            let body = json!({ "peerId": "a", "addresses": [own("/tcp/1")], "cryptoIPv6": text });
            registers_without(&registry, &body, &[]).await;
            assert_eq!(listed_crypto_ipv6(&registry).await, OWN, "{text:?}");
            assert_eq!(listed_addresses(&registry).await, json!([own("/tcp/1")]));
        }
    }
    let registry = TestRegistry::start().await;
    let body = json!({ "peerId": "a", "cryptoIPv6": "[2001:db8::1]/64" });
    registry
        .register(&body)
        .await
        .refused(403, "privacy_violation");
}

#[actix_web::test]
async fn an_own_address_that_is_too_long_is_dropped_for_its_length_alone_or_not() {
    let registry = TestRegistry::start().await;
    let long = own(&"/tcp/1".repeat(100));
    for (addresses, crypto_ipv6, field) in [
        (json!([long]), Value::Null, "addresses[0]"),
        (json!([long]), json!(OWN), "addresses[0]"),
        (json!([own("/tcp/1"), long]), Value::Null, "addresses[1]"),
    ] {
        let body = json!({ "peerId": "a", "addresses": addresses, "cryptoIPv6": crypto_ipv6 });
        let answer = registry.register(&body).await.ok();
        let dropped = answer["dropped"].as_array().unwrap();
        assert_eq!(dropped.len(), 1, "{answer}");
        assert_eq!(dropped[0]["field"], field);
        let reason = dropped[0]["reason"].as_str().unwrap();
        assert!(
            reason.contains("too long") && reason.contains("512"),
            "{reason}"
        );
        assert_eq!(listed_crypto_ipv6(&registry).await, OWN);
    }
}

#[actix_web::test]
async fn a_turn_capacity_over_the_max_is_lowered_and_named() {
    let registry = TestRegistry::start().await;
    for capacity in [json!(100_000), json!(u64::MAX), json!(1e300)] {
        let body = json!({
            "peerId": "a", "cryptoIPv6": OWN, "turnCapable": true,
            "turnAddresses": ["203.0.113.20"], "turnPort": 3478, "turnCapacity": capacity,
        });
        registers_without(&registry, &body, &["turnCapacity"]).await;
        let servers = registry.turn_servers().await.ok();
        assert_eq!(servers["servers"][0]["turnCapacity"], 10_000, "{capacity}");
    }
}

#[actix_web::test]
async fn flags_of_a_body_are_taken_as_those_of_a_query() {
    let registry = TestRegistry::start().await;
    for (flag, expected) in [
        (json!("yes"), true),
        (json!("On"), true),
        (json!("1"), true),
        (json!(" TRUE "), true),
        (json!(1), true),
        (json!("no"), false),
        (json!("OFF"), false),
        (json!("0"), false),
        (json!(0), false),
    ] {
        let body = json!({
            "peerId": "a", "cryptoIPv6": OWN, "bootstrapCapable": flag, "privacyMode": flag,
            "turnCapable": flag,
        });
        registers_without(&registry, &body, &[]).await;
        let listed = registry.peers("").await.ok();
        for name in ["bootstrapCapable", "privacyMode", "turnCapable"] {
            assert_eq!(listed["peers"][0][name], expected, "{flag}");
        }
    }
    for flag in [json!("maybe"), json!(2), json!([]), json!(1.5)] {
        let body = json!({ "peerId": "a", "cryptoIPv6": OWN, "privacyMode": flag });
        let error = registry.register(&body).await.refused(400, "invalid_field");
        assert_eq!(error["field"], "privacyMode");
    }
}

#[actix_web::test]
async fn fields_in_another_case_or_with_underscores_are_taken() {
    let registry = TestRegistry::start().await;
    let body = json!({
        "peer_id": "a", "crypto_ipv6": OWN, "Addresses": [own("/tcp/1")], "networkID": "testnet",
        "bootstrap-capable": true,
    });
    registers_without(&registry, &body, &[]).await;
    let listed = &registry.peers("networkId=testnet").await.ok()["peers"][0];
    assert_eq!(listed["peerId"], "a");
    assert_eq!(listed["cryptoIPv6"], OWN);
    assert_eq!(listed["addresses"], json!([own("/tcp/1")]));
    assert_eq!(listed["bootstrapCapable"], true);
    for id in ["peerID", "peer_id", "peerid"] {
        registry.post("/heartbeat", &json!({ id: "a" })).await.ok();
    }
    // The rules hold for them, too.
    let body =
        json!({ "peerId": "a", "cryptoIPv6": OWN, "ADDRESSES": ["/ip4/198.51.100.7/tcp/1"] });
    registry
        .register(&body)
        .await
        .refused(403, "privacy_violation");
    // Two that contradict each other are not taken.
    let body = json!({ "peer_id": "a", "peerID": "b" });
    let error = registry.post("/heartbeat", &body).await;
    error.refused(400, "missing_field");
}

#[actix_web::test]
async fn a_misspelled_field_is_named_and_other_unknown_fields_are_ignored() {
    let registry = TestRegistry::start().await;
    for (given, meant) in [
        ("netwrokId", "networkId"),
        ("network", "networkId"),
        ("adresses", "addresses"),
        ("store", "stores"),
        ("bootstrapCapabel", "bootstrapCapable"),
    ] {
        let mut body = json!({ "peerId": "a", "cryptoIPv6": OWN });
        body[given] = json!("secret");
        let answer = registry.register(&body).await.ok();
        let dropped = &answer["dropped"][0];
        assert_eq!(dropped["field"], given);
        let reason = dropped["reason"].as_str().unwrap();
        assert!(
            reason.ends_with(&format!("did you mean {meant}?")),
            "{reason}"
        );
        assert!(!answer.to_string().contains("secret"), "{answer}");
    }
    // The one that is spelled right counts.
    let body = json!({
        "peerId": "a", "cryptoIPv6": OWN, "networkId": "mainnet", "network_id": "testnet",
    });
    registers_without(&registry, &body, &["network_id"]).await;
    assert_eq!(registry.peers("networkId=mainnet").await.ok()["total"], 1);
    let body = json!({
        "peerId": "a", "cryptoIPv6": OWN, "_": 1, "realAddress": ["198.51.100.7"], "nodeId": 1,
        "bootstrapServer": true, "zkProofSupported": true, "timestamp": 1, "id": 7,
    });
    registers_without(&registry, &body, &[]).await;
}

#[actix_web::test]
async fn a_node_with_thousands_of_stores_was_refused_before_the_surplus_could_be_dropped() {
    let registry = TestRegistry::start().await;
    let stores: Vec<_> = (0..7_000).map(|number| format!("{number:064x}")).collect();
    let body = json!({ "peerId": "a", "cryptoIPv6": OWN, "stores": stores });
    let answer = registry.register(&body).await.ok();
    let dropped = answer["dropped"].as_array().unwrap();
    assert_eq!(dropped[0]["field"], "stores[1024]");
    let listed = registry.peers("includeStores").await.ok();
    assert_eq!(listed["peers"][0]["stores"], json!(stores[..1024]));
    // So was one in which every field was as long as its own limit allows.
    let stores: Vec<_> = (0..1024).map(|number| format!("{number:0128}")).collect();
    let addresses: Vec<_> = (0..16)
        .map(|number| own(&format!("/tcp/{number}/p2p/{}", "1".repeat(100))))
        .collect();
    let body = json!({
        "peerId": "a", "cryptoIPv6": OWN, "addresses": addresses, "stores": stores,
        "capabilities": { "text": "c".repeat(8_100) }, "capabilityList": [[1, "l".repeat(8_100)]],
    });
    assert!(body.to_string().len() > 128 << 10);
    let answer = registry.register(&body).await.ok();
    assert!(!answer.to_string().contains("stores"), "{answer}");
    // What is still too long is refused with the limit and the way out.
    let body = json!({ "peerId": "a", "cryptoIPv6": OWN, "stores": vec!["s".repeat(64); 10_000] });
    let error = registry
        .register(&body)
        .await
        .refused(413, "payload_too_large");
    assert!(
        error["error"].as_str().unwrap().contains("524288"),
        "{error}"
    );
    assert!(
        error["suggestion"]
            .as_str()
            .unwrap()
            .contains("fewer stores"),
        "{error}"
    );
}
