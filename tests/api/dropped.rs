//! Details of a registration that harm nobody: the peer is listed without them, and the response
//! names them.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, peer, real_clients, turn_server};
use crate::settled::register_body;

const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";
const ANY: &str = "--address-policy=any";
const POLICIES: [&str; 2] = [ANY, "--address-policy=crypto-ipv6"];

/// Registers, and checks which fields were dropped. Each reason is a sentence about its field, and
/// repeats nothing that the peer announced.
pub async fn registers_without(registry: &TestRegistry, body: &Value, fields: &[&str]) {
    let answer = registry.register(body).await.ok();
    let Some(dropped) = answer.get("dropped") else {
        assert_eq!(fields, [""; 0], "nothing was dropped of {body}");
        return;
    };
    let entries = dropped.as_array().unwrap().iter();
    let named: Vec<_> = entries
        .clone()
        .map(|entry| entry["field"].as_str().unwrap())
        .collect();
    assert_eq!(named, fields, "{body}");
    for entry in entries {
        let reason = entry["reason"].as_str().unwrap();
        assert!(reason.starts_with(entry["field"].as_str().unwrap()));
        assert!(!reason.ends_with('.'), "{reason}");
        for said in ["198.51.100.7", "secret", "home.example", OWN] {
            assert!(!reason.contains(said), "{reason}");
        }
    }
}

pub async fn listed_addresses(registry: &TestRegistry) -> Value {
    registry.peers("").await.ok()["peers"][0]["addresses"].take()
}

/// The only row, without its id and times.
async fn row(registry: &TestRegistry) -> Value {
    let mut rows = registry.stored_rows().await;
    assert_eq!(rows.len(), 1);
    for column in ["id", "last_seen", "registered_at"] {
        rows[0].as_object_mut().unwrap().remove(column).unwrap();
    }
    rows.remove(0)
}

fn own(tail: &str) -> String {
    format!("/ip6/{OWN}{tail}")
}

fn with_addresses(addresses: &[String]) -> Value {
    json!({ "peerId": "a", "addresses": addresses, "cryptoIPv6": OWN })
}

#[actix_web::test]
async fn addresses_from_the_17th_on_are_dropped() {
    for policy in POLICIES {
        let registry = TestRegistry::start_with(&[policy]).await;
        let addresses: Vec<_> = (1..=18).map(|port| own(&format!("/tcp/{port}"))).collect();
        let body = with_addresses(&addresses);
        registers_without(&registry, &body, &["addresses[16]", "addresses[17]"]).await;
        assert_eq!(listed_addresses(&registry).await, json!(addresses[..16]));
    }
}

#[actix_web::test]
async fn an_unknown_transport_behind_the_own_crypto_ipv6_is_dropped() {
    let registry = TestRegistry::start().await;
    for tail in [
        "/udp/4001/some-new-transport",
        "/udp/4001/quic-v2/some-new-transport/p2p/a",
        "/tcp/4001/",
        "/tcp/70000",
        "/tcp/4001/p2p/",
        "/tcp/4001/p2p/another-peer",
        "/udp/4001/quic-v1/webtransport/certhash/none",
    ] {
        let addresses = [own("/tcp/1"), own(tail), own("/tcp/2")];
        let body = with_addresses(&addresses);
        registers_without(&registry, &body, &["addresses[1]"]).await;
        let kept = json!([addresses[0], addresses[2]]);
        assert_eq!(listed_addresses(&registry).await, kept, "{tail}");
        // It still says which crypto-IPv6 is the peer's.
        let body = json!({ "peerId": "a", "addresses": [addresses[1]] });
        registers_without(&registry, &body, &["addresses[0]"]).await;
        let listed = registry.peers("").await.ok();
        assert_eq!(listed["peers"][0]["cryptoIPv6"], OWN);
    }
}

#[actix_web::test]
async fn entries_that_are_no_addresses_are_dropped_under_both_policies() {
    for policy in POLICIES {
        let registry = TestRegistry::start_with(&[policy]).await;
        for odd in [
            json!(""),
            json!(" "),
            json!("a b"),
            json!("a\tb"),
            json!("a\nb"),
            json!("a\0b"),
            json!("a\u{7f}"),
            json!("a\u{a0}b"),
            json!("a\u{2003}b"),
            json!(own("/tcp/1 ")),
            json!(own(&"/tcp/1".repeat(100))),
            json!(null),
            json!(4001),
            json!([]),
            json!({ "port": 4001 }),
        ] {
            let (first, last) = (own("/tcp/1"), own("/tcp/2"));
            let body = json!({
                "peerId": "a", "addresses": [odd, first, odd, last], "cryptoIPv6": OWN,
            });
            registers_without(&registry, &body, &["addresses[0]", "addresses[2]"]).await;
            let kept = json!([first, last]);
            assert_eq!(listed_addresses(&registry).await, kept, "{odd:?}");
        }
    }
}

#[actix_web::test]
async fn a_host_in_what_would_be_dropped_is_still_a_privacy_violation() {
    let registry = TestRegistry::start().await;
    let surplus = |host: &str| {
        let mut addresses: Vec<_> = (1..=1023)
            .map(|port| json!(own(&format!("/tcp/{port}"))))
            .collect();
        addresses.push(json!(host));
        addresses
    };
    let too_long = format!("/ip4/198.51.100.7{}", "/tcp/1".repeat(100));
    for mut addresses in [
        vec![json!(own("/udp/4001/new/198.51.100.7"))],
        vec![json!(own("/udp/4001/new/dns4/home"))],
        vec![json!(own("/tcp/70000/dnsaddr/home.example.org"))],
        vec![json!("/ip4/198.51.100.7/tcp/1 ")],
        vec![json!(""), json!("/ip4/198.51.100.7/tcp/1\n")],
        vec![json!(null), json!("/ip4/198.51.100.7/tcp/1")],
        vec![json!(too_long)],
        vec![json!({ "host": "198.51.100.7" })],
        vec![json!([["/ip4/198.51.100.7/tcp/1"]])],
        surplus("/ip4/198.51.100.7/tcp/1"),
        surplus("198.51.100.7 "),
    ] {
        let field = format!("addresses[{}]", addresses.len() - 1);
        for crypto_ipv6 in [json!(OWN), Value::Null] {
            let body = json!({
                "peerId": "a", "addresses": addresses, "cryptoIPv6": crypto_ipv6,
            });
            let answer = registry.register(&body).await;
            let error = answer.refused(403, "privacy_violation");
            assert_eq!(error["field"], field);
            assert!(!error.to_string().contains("198.51.100.7"), "{error}");
        }
        addresses.insert(0, json!(own("/tcp/1")));
        let body = json!({ "peerId": "a", "addresses": addresses });
        let answer = registry.register(&body).await;
        // With one entry more, a list of 1,024 is too long to be read.
        let (status, code) = match addresses.len() {
            1025 => (400, "invalid_field"),
            _ => (403, "privacy_violation"),
        };
        answer.refused(status, code);
    }
    assert_eq!(registry.stored_rows().await, [Value::Null; 0]);
}

#[actix_web::test]
async fn a_1025th_store_and_a_wrong_one_are_dropped() {
    let registry = TestRegistry::start().await;
    let mut body = register_body();
    let mut stores: Vec<_> = (0..1025).map(|number| format!("s{number}")).collect();
    // A store that is named twice takes no place from another.
    stores.insert(1, "s0".to_owned());
    body["stores"] = json!(stores);
    registers_without(&registry, &body, &["stores[1025]"]).await;
    let listed = registry.peers("includeStores=true").await.ok();
    stores.remove(1);
    stores.pop();
    assert_eq!(listed["peers"][0]["stores"], json!(stores));
    assert_eq!(registry.peers("store=s1024").await.ok()["total"], 0);

    body["stores"] = json!(["s", 1, null, "a\u{200b}b", "", {}, "t"]);
    let wrong = [
        "stores[1]",
        "stores[2]",
        "stores[3]",
        "stores[4]",
        "stores[5]",
    ];
    registers_without(&registry, &body, &wrong).await;
    assert_eq!(row(&registry).await["stores"], r#"["s","t"]"#);
}

#[actix_web::test]
async fn addresses_that_are_null_empty_or_absent_are_none() {
    for policy in POLICIES {
        let registry = TestRegistry::start_with(&[policy]).await;
        for addresses in [Some(json!(null)), Some(json!("")), Some(json!([])), None] {
            let mut body = json!({ "peerId": "a", "cryptoIPv6": OWN });
            if let Some(addresses) = addresses {
                body["addresses"] = addresses;
            }
            registers_without(&registry, &body, &[]).await;
            assert_eq!(listed_addresses(&registry).await, json!([]));
        }
    }
}

#[actix_web::test]
async fn empty_strings_and_zero_ports_count_as_absent() {
    let registry = TestRegistry::start().await;
    let body = peer("a");
    registry.register(&body).await.ok();
    let plain = row(&registry).await;
    for (field, value) in [
        ("version", json!("")),
        ("softwareVersion", json!("")),
        ("networkId", json!("")),
        ("cryptoIPv6", json!("")),
        ("stores", json!("")),
        ("capabilities", json!("")),
        ("capabilityList", json!("")),
        ("nodeType", json!("")),
        ("serverPort", json!(0)),
        ("privacyMode", json!("")),
        ("turnCapable", json!("")),
        ("turnPort", json!(0)),
    ] {
        let mut body = body.clone();
        body[field] = value;
        registers_without(&registry, &body, &[]).await;
        assert_eq!(row(&registry).await, plain, "{field}");
    }
}

#[actix_web::test]
async fn turn_fields_are_not_read_unless_the_peer_says_that_it_relays() {
    let garbage = [
        json!(0),
        json!(-1),
        json!("x"),
        json!([]),
        json!([""]),
        json!(["coturn_1"]),
        json!({}),
        json!(1e300),
        json!(true),
    ];
    let registry = TestRegistry::start().await;
    let offer = turn_server("a", 10);
    for turn_capable in [json!(false), json!(null)] {
        for field in ["turnAddresses", "turnPort", "turnCapacity"] {
            for value in &garbage {
                registry.register(&offer).await.ok();
                let mut body = offer.clone();
                body["turnCapable"] = turn_capable.clone();
                body[field] = value.clone();
                registers_without(&registry, &body, &[]).await;
                // False withdraws the offer, absent keeps it.
                let servers = registry.turn_servers().await.ok();
                let kept = u64::from(turn_capable.is_null());
                assert_eq!(servers["total"], kept, "{turn_capable} {field} {value}");
            }
        }
    }
    // A relay that found no public address.
    let mut body = peer("b");
    body["turnCapable"] = json!(true);
    for (addresses, port, dropped) in [
        (json!([]), json!(0), &["turnAddresses"][..]),
        (json!(null), json!("x"), &[]),
    ] {
        (body["turnAddresses"], body["turnPort"]) = (addresses, port);
        registers_without(&registry, &body, dropped).await;
    }
    let listed = registry.peers("turnCapable=true").await.ok();
    assert_eq!(listed["total"], 2);
    assert_eq!(registry.turn_servers().await.ok()["total"], 1);
}

#[actix_web::test]
async fn a_relayed_webtransport_address_of_over_300_bytes_is_listed() {
    let address = own("/udp/4001/quic-v1/webtransport\
         /certhash/uEiB3wO-m4bHQM4BXEpdkTxoL-QSlJ8WqpN-icfg-blHgpA\
         /certhash/uEiDsRjGA0aWPkhl4oiCeaPjSsASEi2rwJSl2oaBzwAqAAQ\
         /p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit\
         /p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN");
    assert!(address.len() > 300, "{}", address.len());
    for policy in POLICIES {
        let registry = TestRegistry::start_with(&[policy]).await;
        let addresses = [address.clone()];
        registers_without(&registry, &with_addresses(&addresses), &[]).await;
        assert_eq!(listed_addresses(&registry).await, json!(addresses));
    }
}

#[actix_web::test]
async fn a_detail_that_is_wrong_is_dropped_alone() {
    let registry = TestRegistry::start().await;
    let good = register_body();
    registry.register(&good).await.ok();
    let whole = row(&registry).await;
    let long = "secret".repeat(100);
    let texts = [
        json!(1),
        json!({}),
        json!([]),
        json!(long),
        json!("a\u{202e}b"),
    ];
    let numbers = [
        json!("4001"),
        json!(1.5),
        json!(-1),
        json!(65_536),
        json!([]),
    ];
    let objects = [
        json!("x"),
        json!([1]),
        json!({ "x": ["a\nb"] }),
        json!({ "x\n": 1 }),
    ];
    let lists = [
        json!("x"),
        json!({}),
        json!([[1, "a\u{200b}b"]]),
        json!(["x".repeat(8192)]),
    ];
    let no_lists = [json!("secret"), json!(1), json!({}), json!(false)];
    for (field, column, wrong) in [
        ("version", "version", &texts[..]),
        ("softwareVersion", "software_version", &texts),
        ("serverPort", "server_port", &numbers),
        ("nodeType", "node_type", &numbers),
        ("capabilities", "capabilities", &objects),
        ("capabilityList", "capability_list", &lists),
        ("stores", "stores", &no_lists),
    ] {
        let mut lacking = whole.clone();
        lacking[column] = if field == "stores" {
            json!("[]")
        } else {
            Value::Null
        };
        assert_ne!(lacking, whole);
        for value in wrong {
            registry.register(&good).await.ok();
            let mut body = good.clone();
            body[field] = value.clone();
            registers_without(&registry, &body, &[field]).await;
            assert_eq!(row(&registry).await, lacking, "{field} {value}");
        }
    }
}

#[actix_web::test]
async fn a_thousand_faults_make_a_short_response() {
    let registry = TestRegistry::start().await;
    let mut body = peer("a");
    body["stores"] = json!(vec![0; 50_000]);
    let answer = registry.register(&body).await.ok();
    let dropped = answer["dropped"].as_array().unwrap();
    assert_eq!(dropped.len(), 17, "{answer}");
    assert_eq!(dropped[16]["reason"], "49984 more");
}

#[actix_web::test]
async fn nothing_is_dropped_of_what_nodes_in_the_field_send() {
    let clients = real_clients();
    let registry = TestRegistry::start_with(&[ANY]).await;
    for client in clients["registrations"].as_array().unwrap() {
        registers_without(&registry, &client["body"], &[]).await;
    }
    assert_eq!(registry.listed_ids().await.len(), 2);
    registry
        .post("/heartbeat", &clients["heartbeat"])
        .await
        .ok();
    let offer = &clients["registerTurnServer"];
    let answer = registry.register_turn_server(offer).await.ok();
    assert_eq!(answer.get("dropped"), None);
    registry.allocate(&clients["allocateTurn"]).await.ok();
    registry
        .get(clients["peersQuery"].as_str().unwrap())
        .await
        .ok();
}
