//! Which addresses a peer may announce under either policy.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, peer};

const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";
const ANY: &[&str] = &["--address-policy=any"];

/// A registration with these addresses and, if it is not null, this crypto-IPv6.
fn with(addresses: Value, crypto_ipv6: Value) -> Value {
    json!({ "peerId": "a", "addresses": addresses, "cryptoIPv6": crypto_ipv6 })
}

/// The field that an error names, both in `field` and in its message.
#[track_caller]
fn field_at_fault(body: &Value) -> &str {
    let field = body["field"].as_str().expect("a field");
    let sentence = body["error"].as_str().unwrap();
    let name = field.split('[').next().unwrap();
    assert!(sentence.contains(name), "{sentence}");
    field
}

/// Posts a registration that must be refused and not stored; returns the field at fault.
async fn refused(registry: &TestRegistry, body: &Value, status: u16, code: &str) -> String {
    let answer = registry.register(body).await.refused(status, code);
    assert!(registry.stored_ids().await.is_empty(), "{body}");
    assert_eq!(registry.peers("").await.ok()["totalRegistered"], 0);
    field_at_fault(&answer).to_owned()
}

#[actix_web::test]
async fn crypto_ipv6_is_the_default_policy() {
    let registry = TestRegistry::start().await;
    let body = with(json!(["/ip4/198.51.100.7/tcp/4001"]), json!(OWN));
    refused(&registry, &body, 403, "privacy_violation").await;
}

#[actix_web::test]
async fn a_crypto_ipv6_that_is_given_is_listed_as_it_is_spelled() {
    let registry = TestRegistry::start().await;
    for spelling in [
        OWN,
        "FD00:4F07:6435:12B1:1E30:8071:EEA8:27EC",
        "fd00::1",
        "fd00:0:0::0001",
        "fd00:0000:0000:0000:0000:0000:0000:0001",
    ] {
        let address = format!("/ip6/{spelling}/tcp/4001/p2p/a");
        let body = with(json!([address]), json!(spelling));
        registry.register(&body).await.ok();
        let listed = &registry.peers("").await.ok()["peers"][0];
        assert_eq!(listed["cryptoIPv6"], spelling);
        assert_eq!(listed["addresses"], json!([address]));
    }
}

#[actix_web::test]
async fn a_missing_crypto_ipv6_is_taken_from_the_first_address() {
    let registry = TestRegistry::start().await;
    for spelling in [OWN, "FD00::A", "fd00:0::0a"] {
        let addresses = json!([
            format!("/ip6/{spelling}/tcp/1"),
            format!("/ip6/{spelling}/udp/2/quic-v1")
        ]);
        registry.register(&with(addresses, Value::Null)).await.ok();
        let listed = &registry.peers("").await.ok()["peers"][0];
        assert_eq!(listed["cryptoIPv6"], spelling);
        assert_eq!(registry.stored_rows().await[0]["crypto_ipv6"], spelling);
    }
}

#[actix_web::test]
async fn addresses_that_differ_in_case_or_zero_padding_are_the_same() {
    let registry = TestRegistry::start().await;
    let spellings = [
        "fd00::ab",
        "FD00::AB",
        "fd00:0:0:0:0:0:0:ab",
        "fd00:0000::00Ab",
    ];
    for crypto_ipv6 in spellings {
        let addresses: Vec<_> = spellings
            .iter()
            .map(|spelling| format!("/ip6/{spelling}/tcp/1"))
            .collect();
        let body = with(json!(addresses), json!(crypto_ipv6));
        registry.register(&body).await.ok();
        let listed = &registry.peers("").await.ok()["peers"][0];
        assert_eq!(listed["cryptoIPv6"], crypto_ipv6);
        assert_eq!(listed["addresses"], json!(addresses));
    }
}

#[actix_web::test]
async fn a_peer_with_a_crypto_ipv6_may_list_no_address() {
    let registry = TestRegistry::start().await;
    registry.register(&with(json!([]), json!(OWN))).await.ok();
    let listed = &registry.peers("").await.ok()["peers"][0];
    assert_eq!(
        (&listed["cryptoIPv6"], &listed["addresses"]),
        (&json!(OWN), &json!([]))
    );
}

#[actix_web::test]
async fn a_registration_without_address_and_crypto_ipv6_is_a_missing_field() {
    let registry = TestRegistry::start().await;
    let body = with(json!([]), Value::Null);
    let field = refused(&registry, &body, 400, "missing_field").await;
    assert_eq!(field, "cryptoIPv6");
}

#[actix_web::test]
async fn transports_and_peer_ids_after_the_own_address_are_accepted() {
    let registry = TestRegistry::start().await;
    let tails = [
        "",
        "/tcp/4001",
        "/tcp/4001/ws",
        "/tcp/443/wss",
        "/tcp/4001/tls/ws",
        "/udp/4001/quic-v1/webtransport",
        "/tcp/4001/p2p/a",
        "/tcp/4001/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit/p2p/a",
    ];
    let addresses: Vec<_> = tails
        .iter()
        .map(|tail| format!("/ip6/{OWN}{tail}"))
        .collect();
    let body = with(json!(addresses), json!(OWN));
    registry.register(&body).await.ok();
    let listed = &registry.peers("").await.ok()["peers"][0];
    assert_eq!(listed["addresses"], json!(addresses));
}

#[actix_web::test]
async fn a_p2p_part_holds_a_libp2p_id_or_the_peers_own_and_no_host() {
    let registry = TestRegistry::start().await;
    for host in ["198.51.100.7", "home.example.org"] {
        let address = format!("/ip6/{OWN}/tcp/1/p2p/{host}");
        let body = with(json!([address]), json!(OWN));
        let field = refused(&registry, &body, 403, "privacy_violation").await;
        assert_eq!(field, "addresses[0]");
    }
}

#[actix_web::test]
async fn any_other_host_anywhere_is_a_privacy_violation_and_nothing_is_stored() {
    let registry = TestRegistry::start().await;
    let good = format!("/ip6/{OWN}/tcp/4001");
    for other in [
        "/ip4/198.51.100.7",
        "/ip4/127.0.0.1",
        "/dns/example.org",
        "/dns4/example.org",
        "/dns6/example.org",
        "/dnsaddr/example.org",
        "/ip6/2001:db8::1",
        "/ip6/fe80::1",
        "/ip6/fd01:4f07:6435:12b1:1e30:8071:eea8:27ec",
        "/ip6/fd00::1",
        "/ip6/::ffff:198.51.100.7",
    ] {
        for address in [
            format!("{other}/tcp/4001"),
            format!("{other}/tcp/4001{good}"),
            format!("{good}{other}"),
            format!(
                "{good}/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit{other}/tcp/1"
            ),
        ] {
            let body = with(json!([good, address]), json!(OWN));
            let field = refused(&registry, &body, 403, "privacy_violation").await;
            assert_eq!(field, "addresses[1]", "{address}");
            let body = with(json!([address, good]), json!(OWN));
            let field = refused(&registry, &body, 403, "privacy_violation").await;
            assert_eq!(field, "addresses[0]", "{address}");
            let body = with(json!([good, address]), Value::Null);
            let field = refused(&registry, &body, 403, "privacy_violation").await;
            assert_eq!(field, "addresses[1]", "{address}");
        }
    }
}

#[actix_web::test]
async fn a_first_address_that_is_not_crypto_is_a_privacy_violation_without_crypto_ipv6() {
    let registry = TestRegistry::start().await;
    for address in [
        "/ip4/198.51.100.7/tcp/4001",
        "/dns4/example.org/tcp/4001",
        "/ip6/2001:db8::1/tcp/4001",
        "/ip6/fd01::1/tcp/4001",
        "198.51.100.7:4001",
        "example.org",
    ] {
        let body = with(json!([address]), Value::Null);
        let field = refused(&registry, &body, 403, "privacy_violation").await;
        assert_eq!(field, "addresses[0]", "{address}");
    }
}

#[actix_web::test]
async fn a_crypto_ipv6_outside_fd00_is_a_privacy_violation() {
    let registry = TestRegistry::start().await;
    for crypto_ipv6 in ["2001:db8::1", "fd01::1", "fc00::1", "::1", "fe80::1"] {
        let addresses = json!([format!("/ip6/{crypto_ipv6}/tcp/1")]);
        let body = with(addresses, json!(crypto_ipv6));
        let field = refused(&registry, &body, 403, "privacy_violation").await;
        assert_eq!(field, "cryptoIPv6", "{crypto_ipv6}");
    }
}

#[actix_web::test]
async fn a_crypto_ipv6_that_is_no_ipv6_address_is_invalid() {
    let registry = TestRegistry::start().await;
    for crypto_ipv6 in [
        "x",
        "198.51.100.7",
        "fd00",
        "fd00::1%home.example.org",
        "[fd00::1",
        "[fd00::1]x",
        "fd00::1 fd00::2",
        "fd00::00001",
        "fd00:test:1234:5678:9abc:def0:1234:5678",
    ] {
        let body = with(json!(["/ip6/fd00::1/tcp/1"]), json!(crypto_ipv6));
        let field = refused(&registry, &body, 400, "invalid_field").await;
        assert_eq!(field, "cryptoIPv6", "{crypto_ipv6}");
    }
}

#[actix_web::test]
async fn a_text_that_is_no_address_is_an_invalid_field_if_no_crypto_ipv6_is_given() {
    let registry = TestRegistry::start().await;
    for address in [
        "x",
        "/",
        "/nonsense",
        "/ip6/not-an-address/tcp/1",
        "/tcp/4001",
    ] {
        let body = with(json!([address]), Value::Null);
        let field = refused(&registry, &body, 400, "invalid_field").await;
        assert_eq!(field, "addresses[0]", "{address}");
    }
}

#[actix_web::test]
async fn a_refused_registration_leaves_the_earlier_one_as_it_was() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    let before = registry.stored_rows().await;
    registry.advance_secs(60);
    let body = with(json!(["/ip4/198.51.100.7/tcp/4001"]), Value::Null);
    let answer = registry.register(&body).await;
    let answer = answer.refused(403, "privacy_violation");
    assert!(answer["suggestion"].is_string());
    assert_eq!(registry.stored_rows().await, before);
    let listed = registry.peers("").await.ok().to_string();
    assert!(!listed.contains("198.51.100.7"), "{listed}");
}

#[actix_web::test]
async fn the_policy_any_lists_any_printable_text_without_blanks() {
    let registry = TestRegistry::start_with(ANY).await;
    let addresses = json!([
        "/ip4/198.51.100.7/tcp/4001",
        "/dns4/example.org/tcp/443",
        "example.org:80",
        "ünïcode-☃",
        "/not/a/multiaddr/",
    ]);
    registry
        .register(&with(addresses.clone(), Value::Null))
        .await
        .ok();
    let listed = &registry.peers("").await.ok()["peers"][0];
    assert_eq!(listed["addresses"], addresses);
    assert_eq!(listed["cryptoIPv6"], Value::Null);
    let body = with(addresses.clone(), json!("FD00::1"));
    registry.register(&body).await.ok();
    let listed = &registry.peers("").await.ok()["peers"][0];
    assert_eq!(listed["addresses"], addresses);
    assert_eq!(listed["cryptoIPv6"], "FD00::1");
}

#[actix_web::test]
async fn turn_addresses_may_be_public_under_the_default_policy() {
    let registry = TestRegistry::start().await;
    let mut body = peer("a");
    body["turnCapable"] = json!(true);
    body["turnAddresses"] = json!([
        "198.51.100.7",
        "turn.example.org",
        "/ip4/203.0.113.9/udp/3478"
    ]);
    body["turnPort"] = json!(3478);
    registry.register(&body).await.ok();
    let servers = registry.turn_servers().await.ok();
    assert_eq!(
        servers["servers"][0]["turnAddresses"],
        body["turnAddresses"]
    );
}
