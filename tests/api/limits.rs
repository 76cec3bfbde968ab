//! The limits of a request's fields: a value at the limit is accepted, one beyond is refused or dropped,
//! and each limit is set by a flag.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::{TestRegistry, peer};

const ANY: &str = "--address-policy=any";

/// A registration with this value in `field`.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({ "peerId": "a", "addresses": [] });
    body[field] = value;
    body
}

/// A TURN offer with this value in `field`.
fn offer_with(field: &str, value: Value) -> Value {
    let mut body = json!({ "peerId": "a", "turnAddresses": ["203.0.113.20"], "turnPort": 1 });
    body[field] = value;
    body
}

/// Checks that a request was refused for `field`, and that the message contains `number`.
#[track_caller]
fn refused(answer: Answer, field: &str, number: &str) {
    let body = answer.refused(400, "invalid_field");
    assert_eq!(body["field"], field, "{body}");
    let sentence = body["error"].as_str().unwrap();
    assert!(sentence.contains(field), "{sentence}");
    assert!(sentence.contains(number), "{number} in {sentence}");
}

/// Checks that a request was accepted without `field` alone, for a reason that contains `number`.
#[track_caller]
fn dropped(answer: Answer, field: &str, number: &str) {
    let body = answer.ok();
    let entries = body["dropped"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{body}");
    assert_eq!(entries[0]["field"], field, "{body}");
    let reason = entries[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with(field), "{reason}");
    assert!(reason.contains(number), "{number} in {reason}");
}

/// Checks that a request was accepted as a whole.
#[track_caller]
fn kept(answer: Answer) {
    let body = answer.ok();
    assert_eq!(body.get("dropped"), None, "{body}");
}

/// An object of `bytes` bytes as compact JSON.
fn object_of(bytes: usize) -> Value {
    let object = json!({ "k": "x".repeat(bytes - r#"{"k":""}"#.len()) });
    assert_eq!(object.to_string().len(), bytes);
    object
}

/// An array of `bytes` bytes as compact JSON.
fn array_of(bytes: usize) -> Value {
    let array = json!([[1, "x".repeat(bytes - r#"[[1,""]]"#.len())]]);
    assert_eq!(array.to_string().len(), bytes);
    array
}

fn names(count: usize) -> Value {
    (0..count).map(|number| format!("n{number}")).collect()
}

#[actix_web::test]
async fn peer_id_takes_1_to_128_characters() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for good in ["x", longest.as_str()] {
        registry.register(&with("peerId", json!(good))).await.ok();
        registry.heartbeat(good).await.ok();
        let offer = offer_with("peerId", json!(good));
        registry.register_turn_server(&offer).await.ok();
        let query = format!("exclude={good}&cursor={good}");
        registry.peers(&query).await.ok();
    }
    for bad in ["", &too_long] {
        let answer = registry.register(&with("peerId", json!(bad))).await;
        refused(answer, "peerId", "1 to 128");
        refused(registry.heartbeat(bad).await, "peerId", "1 to 128");
        let offer = offer_with("peerId", json!(bad));
        let answer = registry.register_turn_server(&offer).await;
        refused(answer, "peerId", "1 to 128");
    }
    let answer = registry.peers(&format!("exclude={too_long}")).await;
    refused(answer, "exclude", "1 to 128");
    assert_eq!(registry.stored_ids().await, ["x", longest.as_str()]);
}

#[actix_web::test]
async fn peer_id_takes_letters_digits_dot_underscore_and_hyphen_only() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    let every = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    registry.register(&with("peerId", json!(every))).await.ok();
    for byte in (0..=0x7f_u8).filter(|byte| !every.as_bytes().contains(byte)) {
        let id = format!("a{}b", char::from(byte));
        let answer = registry.register(&with("peerId", json!(id))).await;
        refused(answer, "peerId", "A-Z, a-z, 0-9, '.', '_' and '-'");
    }
    let answer = registry.register(&with("peerId", json!("é"))).await;
    refused(answer, "peerId", "A-Z");
    assert_eq!(registry.stored_ids().await, [every]);
}

#[actix_web::test]
async fn addresses_take_16_entries_of_1_to_512_bytes() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    kept(registry.register(&with("addresses", names(16))).await);
    let answer = registry.register(&with("addresses", names(17))).await;
    dropped(answer, "addresses[16]", "16");
    let listed = registry.peers("").await.ok();
    assert_eq!(listed["peers"][0]["addresses"], names(16));
    // Bytes, not characters: é takes two.
    for good in ["x".repeat(512), "é".repeat(256)] {
        kept(registry.register(&with("addresses", json!([good]))).await);
    }
    for bad in ["x".repeat(513), "é".repeat(256) + "x", String::new()] {
        let body = with("addresses", json!(["x", bad, "y"]));
        let answer = registry.register(&body).await;
        dropped(answer, "addresses[1]", "1 to 512");
        let listed = registry.peers("").await.ok();
        assert_eq!(listed["peers"][0]["addresses"], json!(["x", "y"]));
    }
    let answer = registry.register(&with("addresses", names(1025))).await;
    refused(answer, "addresses", "1024");
}

#[actix_web::test]
async fn turn_addresses_take_1_to_16_entries_of_1_to_512_bytes() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    let one_step = |value: Value| {
        let mut body = offer_with("turnAddresses", value);
        (body["addresses"], body["turnCapable"]) = (json!([]), json!(true));
        body
    };
    let label = "x".repeat(62);
    let longest = format!("/dns4/{label}.{label}.{label}.{label}/tcp/65535/ws/p2p-circuit");
    registry.register(&peer("a")).await.ok();
    for good in [names(16), json!(["x"]), json!([longest])] {
        let offer = offer_with("turnAddresses", good.clone());
        kept(registry.register_turn_server(&offer).await);
        kept(registry.register(&one_step(good)).await);
    }
    for (bad, kept, field, number) in [
        (names(17), names(16), "turnAddresses[16]", "16"),
        (json!(["x", ""]), json!(["x"]), "turnAddresses[1]", "empty"),
        (
            json!([null, "x"]),
            json!(["x"]),
            "turnAddresses[0]",
            "empty",
        ),
    ] {
        let offer = offer_with("turnAddresses", bad.clone());
        dropped(registry.register_turn_server(&offer).await, field, number);
        dropped(registry.register(&one_step(bad)).await, field, number);
        let listed = registry.turn_servers().await.ok();
        assert_eq!(listed["servers"][0]["turnAddresses"], kept);
    }
    let too_long = json!(["x", "x".repeat(513)]);
    let (field, number) = ("turnAddresses[1]", "1 to 512");
    let offer = offer_with("turnAddresses", too_long.clone());
    refused(registry.register_turn_server(&offer).await, field, number);
    refused(registry.register(&one_step(too_long)).await, field, number);
    for none in [json!([]), json!([""])] {
        let answer = registry
            .register_turn_server(&offer_with("turnAddresses", none))
            .await;
        let body = answer.refused(400, "missing_field");
        assert_eq!(body["field"], "turnAddresses");
    }
}

#[actix_web::test]
async fn stores_take_1024_entries_of_1_to_128_bytes() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    registry.register(&with("stores", names(1024))).await.ok();
    let listed = registry.peers("includeStores=true").await.ok();
    assert_eq!(listed["peers"][0]["stores"], names(1024));
    let answer = registry.register(&with("stores", names(1025))).await;
    dropped(answer, "stores[1024]", "1024");
    let listed = registry.peers("includeStores=true").await.ok();
    assert_eq!(listed["peers"][0]["stores"], names(1024));
    let longest = "x".repeat(128);
    let body = with("stores", json!([longest]));
    registry.register(&body).await.ok();
    let query = format!("store={longest}");
    assert_eq!(registry.peers(&query).await.ok()["total"], 1);
    refused(
        registry.peers(&format!("{query}x")).await,
        "store",
        "1 to 128",
    );
    for bad in ["x".repeat(129), String::new()] {
        let answer = registry.register(&with("stores", json!(["x", bad]))).await;
        dropped(answer, "stores[1]", "1 to 128");
    }
}

#[actix_web::test]
async fn other_strings_take_1_to_64_bytes() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    for field in ["version", "networkId", "softwareVersion"] {
        for good in ["x".repeat(64), "é".repeat(32)] {
            registry.register(&with(field, json!(good))).await.ok();
        }
        kept(registry.register(&with(field, json!(""))).await);
        for bad in ["x".repeat(65), "é".repeat(32) + "x"] {
            let answer = registry.register(&with(field, json!(bad))).await;
            match field {
                "networkId" => refused(answer, field, "1 to 64"),
                _ => dropped(answer, field, "1 to 64"),
            }
        }
    }
    let body = with("cryptoIPv6", json!("f".repeat(65)));
    let answer = registry.register(&body).await;
    dropped(answer, "cryptoIPv6", "1 to 64");
    for name in ["version", "networkId"] {
        let query = format!("{name}={}", "x".repeat(64));
        registry.peers(&query).await.ok();
        refused(registry.peers(&format!("{query}x")).await, name, "1 to 64");
    }
}

#[actix_web::test]
async fn capabilities_and_capability_list_take_8_kib_each_as_compact_json() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    let mut body = with("capabilities", object_of(8192));
    body["capabilityList"] = array_of(8192);
    registry.register(&body).await.ok();
    let listed = &registry.peers("includeCapabilities=true").await.ok()["peers"][0];
    for field in ["capabilities", "capabilityList"] {
        assert_eq!(listed[field], body[field]);
    }
    // Whitespace between tokens does not count.
    let spaced = body.to_string().replace(':', " :    \n");
    let answer = registry.post_raw("/register", "application/json", spaced);
    answer.await.ok();
    for (field, value) in [
        ("capabilities", object_of(8193)),
        ("capabilityList", array_of(8193)),
    ] {
        dropped(registry.register(&with(field, value)).await, field, "8192");
    }
}

#[actix_web::test]
async fn ports_are_1_to_65535() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    for good in [1, 65_535] {
        registry
            .register(&with("serverPort", json!(good)))
            .await
            .ok();
        let offer = offer_with("turnPort", json!(good));
        registry.register_turn_server(&offer).await.ok();
    }
    kept(registry.register(&with("serverPort", json!(0))).await);
    for bad in [-1, 65_536] {
        let answer = registry.register(&with("serverPort", json!(bad))).await;
        dropped(answer, "serverPort", "1 to 65535");
    }
    for (bad, code) in [(0, "missing_field"), (65_536, "invalid_field")] {
        let offer = offer_with("turnPort", json!(bad));
        let answer = registry.register_turn_server(&offer).await;
        let body = answer.refused(400, code);
        assert_eq!(body["field"], "turnPort");
        assert!(body["error"].as_str().unwrap().contains("1 to 65535"));
    }
}

#[actix_web::test]
async fn turn_capacity_is_1_to_10000() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    registry.register(&peer("a")).await.ok();
    for good in [1, 10_000] {
        let offer = offer_with("turnCapacity", json!(good));
        registry.register_turn_server(&offer).await.ok();
        let listed = registry.turn_servers().await.ok();
        assert_eq!(listed["servers"][0]["turnCapacity"], good);
    }
    let offer = offer_with("turnCapacity", json!(-1));
    let answer = registry.register_turn_server(&offer).await;
    refused(answer, "turnCapacity", "1 to 10000");
    let offer = offer_with("turnCapacity", json!(10_001));
    let answer = registry.register_turn_server(&offer).await;
    dropped(answer, "turnCapacity", "10000 is stored");
    let offer = offer_with("turnCapacity", json!(0));
    let answer = registry.register_turn_server(&offer).await;
    dropped(answer, "turnCapacity", "10 is stored");
    let listed = registry.turn_servers().await.ok();
    assert_eq!(listed["servers"][0]["turnCapacity"], 10);
}

/// A registration of `bytes` bytes, most of them in an unknown field.
fn body_of(bytes: usize) -> String {
    let mut body = with("padding", json!(""));
    body["padding"] = json!("x".repeat(bytes - body.to_string().len()));
    assert_eq!(body.to_string().len(), bytes);
    body.to_string()
}

#[actix_web::test]
async fn a_body_takes_512_kib() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    let post = |bytes| registry.post_raw("/register", "application/json", body_of(bytes));
    post(512 * 1024).await.ok();
    let body = post(512 * 1024 + 1).await.refused(413, "payload_too_large");
    let sentence = body["error"].as_str().unwrap();
    assert!(
        sentence.contains("body") && sentence.contains("524288"),
        "{sentence}"
    );
}

#[actix_web::test]
async fn every_limit_is_a_setting() {
    let flags = [
        ANY,
        "--max-body-bytes=400",
        "--max-peer-id-chars=5",
        "--max-addresses=2",
        "--max-address-bytes=20",
        "--max-stores=3",
        "--max-store-bytes=6",
        "--max-string-bytes=7",
        "--max-capabilities-bytes=30",
        "--max-turn-capacity=4",
    ];
    let registry = TestRegistry::start_with(&flags).await;
    let text = |length: usize| json!("x".repeat(length));
    for (field, good, bad, at, number) in [
        ("peerId", text(5), text(6), "peerId", "1 to 5"),
        ("networkId", text(7), text(8), "networkId", "1 to 7"),
    ] {
        kept(registry.register(&with(field, good)).await);
        refused(registry.register(&with(field, bad)).await, at, number);
    }
    let (long_address, long_store) = (json!([text(21)]), json!([text(7)]));
    for (field, good, bad, at, number) in [
        ("addresses", names(2), names(3), "addresses[2]", "2"),
        (
            "addresses",
            json!([text(20)]),
            long_address,
            "addresses[0]",
            "1 to 20",
        ),
        ("stores", names(3), names(4), "stores[3]", "3"),
        (
            "stores",
            json!([text(6)]),
            long_store,
            "stores[0]",
            "1 to 6",
        ),
        ("version", text(7), text(8), "version", "1 to 7"),
        (
            "capabilities",
            object_of(30),
            object_of(31),
            "capabilities",
            "30",
        ),
        (
            "capabilityList",
            array_of(30),
            array_of(31),
            "capabilityList",
            "30",
        ),
    ] {
        kept(registry.register(&with(field, good)).await);
        dropped(registry.register(&with(field, bad)).await, at, number);
    }
    let offer = offer_with("turnAddresses", names(3));
    let answer = registry.register_turn_server(&offer).await;
    dropped(answer, "turnAddresses[2]", "2");
    let offer = offer_with("turnCapacity", json!(5));
    let answer = registry.register_turn_server(&offer).await;
    dropped(answer, "turnCapacity", "4 is stored");
    // A peer that names no bandwidth gets at most the max.
    registry.register(&with("version", Value::Null)).await.ok();
    let offer = offer_with("turnCapacity", Value::Null);
    registry.register_turn_server(&offer).await.ok();
    let listed = registry.turn_servers().await.ok();
    assert_eq!(listed["servers"][0]["turnCapacity"], 4);
    let post = |bytes| registry.post_raw("/register", "application/json", body_of(bytes));
    post(400).await.ok();
    let body = post(401).await.refused(413, "payload_too_large");
    assert!(body["error"].as_str().unwrap().contains("400"), "{body}");
}
