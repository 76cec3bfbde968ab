//! Hosts and ids in the spellings in which nodes send them.

use serde_json::{Value, json};

use crate::helpers::{TestRegistry, ask, ids, peer, turn_server};

const ANY: &str = "--address-policy=any";

/// An id in base58, and its spellings as a CIDv1 in bases 32, 36, 16 and others.
const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const CIDS: [&str; 3] = [
    "bafzaajaiaejcao3ke66m5nvefvrkhkgqfjxq243fgikxohpciotdvqciugfvtwrj",
    "k51qzi5uqu5dhnwe629wdlncpql6frppdpwnz4wtlcw816aysd5wwlk63g4wmh",
    "f01720024080112203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29",
];

#[actix_web::test]
async fn a_peer_id_spelled_as_a_cid_is_the_same_peer_everywhere() {
    let registry = TestRegistry::start().await;
    registry.register(&turn_server("turn", 10)).await.ok();
    for cid in CIDS {
        for (first, second) in [(cid, ID), (ID, cid)] {
            assert_eq!(registry.register(&peer(first)).await.ok()["peerId"], ID);
            assert_eq!(registry.heartbeat(second).await.ok()["peerId"], ID);
            let spaced = format!(r#"{{ "peerId": "{second}", "more": 1 }}"#);
            let answer = registry.post_raw("/heartbeat", "application/json", spaced);
            assert_eq!(answer.await.ok()["peerId"], ID);
            assert_eq!(registry.stored_ids().await, [ID, "turn"]);
        }
        let granted = registry.allocate(&ask(cid)).await.ok();
        assert_eq!(granted["peerId"], ID);
        let release = json!({ "peerId": cid, "sessionId": granted["sessionId"] });
        registry.release(&release).await.ok();
        let offer = json!({ "peerId": cid, "turnAddresses": ["203.0.113.9"], "turnPort": 7 });
        let answer = registry.register_turn_server(&offer).await.ok();
        assert_eq!(answer["peerId"], ID);
        let report = json!({ "peerId": cid, "sessions": [] });
        registry.report(&report).await.ok();
        let listing = registry.peers(&format!("exclude={cid}")).await.ok();
        assert_eq!(ids(&listing), ["turn"]);
    }
}

/// The same in bases 64 (URL and plain), 32 padded, 32 hex, 16 in capitals, and 2.
const RARE_CIDS: [&str; 6] = [
    "uAXIAJAgBEiA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ",
    "mAXIAJAgBEiA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ",
    "cafzaajaiaejcao3ke66m5nvefvrkhkgqfjxq243fgikxohpciotdvqciugfvtwrj",
    "v05p0090804920era4uuctdl45lha7a6g59ngqsr568ane7f28ej3lg28k65ljmh9",
    "F01720024080112203B6A27BCCEB6A42D62A3A8D02A6F0D73653215771DE243A63AC048A18B59DA29",
    "000000001011100100000000000100100000010000000000100010010001000000011101101101010001001111011110011001110101101101010010000101101011000101010001110101000110100000010101001101111000011010111001101100101001100100001010101110111000111011110001001000011101001100011101011000000010010001010000110001011010110011101101000101001",
];

#[actix_web::test]
async fn a_peer_id_in_a_rare_multibase_is_the_same_peer() {
    let registry = TestRegistry::start().await;
    for cid in RARE_CIDS {
        assert_eq!(
            registry.register(&peer(cid)).await.ok()["peerId"],
            ID,
            "{cid}"
        );
        assert_eq!(registry.heartbeat(cid).await.ok()["peerId"], ID);
        assert_eq!(registry.stored_ids().await, [ID]);
    }
    // A base of emoji is not read. The refusal says what is.
    let emoji = "\u{1f680}\u{1f680}\u{1fa90}".repeat(13);
    let error = registry.register(&peer(&emoji)).await;
    let error = error.refused(400, "invalid_field");
    assert!(
        error["error"].as_str().unwrap().contains("base58"),
        "{error}"
    );
}

#[actix_web::test]
async fn a_peer_id_spelled_as_a_cid_in_an_address_is_listed_in_base58() {
    for policy in [ANY, "--address-policy=crypto-ipv6"] {
        let registry = TestRegistry::start_with(&[policy]).await;
        for cid in CIDS {
            let address = |id: &str| format!("/ip6/fd00::1/tcp/1/p2p/{id}/p2p-circuit/p2p/{id}");
            let body = json!({ "peerId": cid, "addresses": [address(cid)] });
            let answer = registry.register(&body).await.ok();
            assert_eq!(answer.get("dropped"), None, "{answer}");
            let listed = registry.peers("").await.ok();
            assert_eq!(ids(&listed), [ID]);
            assert_eq!(listed["peers"][0]["addresses"], json!([address(ID)]));
        }
    }
}

#[actix_web::test]
async fn a_cid_of_something_else_or_with_something_else_is_no_peer_id_of_libp2p() {
    let registry = TestRegistry::start().await;
    let file = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    let longer = format!("{}00", CIDS[2]);
    for id in [file, &longer] {
        assert_eq!(registry.register(&peer(id)).await.ok()["peerId"], id);
    }
    let hidden = format!("b198.51.100.7/ipfs/{}", CIDS[0]);
    let error = registry.heartbeat(&hidden).await;
    error.refused(400, "invalid_field");
}

#[actix_web::test]
async fn a_turn_host_in_another_form_is_refused_with_examples_of_the_right_one() {
    for policy in [ANY, "--address-policy=crypto-ipv6"] {
        let registry = TestRegistry::start_with(&[policy]).await;
        registry.register(&turn_server("a", 10)).await.ok();
        let before = registry.stored_rows().await;
        for host in [
            "coturn_1",
            "turn:host:3478",
            "turn:turn.example.org:3478?transport=udp",
            "stun:turn.example.org",
            "turn.example.org:3478",
            "http://turn.example.org",
        ] {
            let mut body = turn_server("a", 10);
            body["turnAddresses"] = json!(["203.0.113.20", host]);
            for answer in [
                registry.register(&body).await,
                registry.register_turn_server(&body).await,
            ] {
                let error = answer.refused(400, "invalid_field");
                assert_eq!(error["field"], "turnAddresses[1]", "{host}");
                let sentence = error["error"].as_str().unwrap();
                for example in [
                    "turn.example.org",
                    "203.0.113.20",
                    "/ip4/203.0.113.20/udp/3478",
                ] {
                    assert!(sentence.contains(&format!(" {example}")), "{sentence}");
                }
            }
        }
        assert_eq!(registry.stored_rows().await, before);
    }
}

/// Registers under these flags; returns what is listed and which fields were dropped.
async fn listed_of(flags: &[&str], addresses: &[&str]) -> (Value, Vec<String>) {
    let registry = TestRegistry::start_with(flags).await;
    let body = json!({ "peerId": "a", "addresses": addresses });
    let answer = registry.register(&body).await.ok();
    let dropped = answer.get("dropped").and_then(Value::as_array);
    let names = dropped.into_iter().flatten().map(|entry| {
        let reason = entry["reason"].as_str().unwrap();
        assert!(!addresses.iter().any(|address| reason.contains(address)));
        entry["field"].as_str().unwrap().to_owned()
    });
    let listed = registry.peers("").await.ok()["peers"][0]["addresses"].take();
    (listed, names.collect())
}

#[actix_web::test]
async fn under_any_addresses_that_lead_to_no_other_machine_are_dropped() {
    let public = "/ip4/203.0.113.20/tcp/4001";
    for local in [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip4/127.8.9.1/udp/4001/quic-v1",
        "/ip6/::1/tcp/4001",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip6/::/tcp/4001",
        "/ip4/169.254.7.7/tcp/4001",
        "/ip6/fe80::1/tcp/4001",
        "/ip6zone/eth0/ip6/fe80::1/tcp/4001",
        "/ip4/224.0.0.251/udp/5353",
        "/ip6/ff02::fb/udp/5353",
        "/ip4/255.255.255.255/udp/1",
        "/ip6/::ffff:127.0.0.1/tcp/4001",
        "/dns4/localhost/tcp/4001",
        "/ip4/127.0.0.1/udp/4001/some-new-transport",
        "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit",
        "127.0.0.1:4001",
        "localhost",
        "[::1]:4001",
        "http://localhost:4001/",
    ] {
        for private in ["--private-addresses=drop", "--private-addresses=list"] {
            let (listed, dropped) = listed_of(&[ANY, private], &[local, public]).await;
            assert_eq!(listed, json!([public]), "{local}");
            assert_eq!(dropped, ["addresses[0]"], "{local}");
        }
    }
}

#[actix_web::test]
async fn under_any_private_addresses_are_listed_only_if_the_operator_says_so() {
    let private = [
        "/ip4/10.0.0.5/tcp/4001",
        "/ip4/172.16.0.1/tcp/4001",
        "/ip4/192.168.1.7/udp/4001/quic-v1",
        "/ip4/100.64.0.9/tcp/4001",
        "/ip6/fd12:3456::1/tcp/4001",
        "/ip6/::ffff:10.0.0.5/tcp/4001",
        "10.0.0.5:4001",
    ];
    let every: Vec<_> = (0..private.len())
        .map(|index| format!("addresses[{index}]"))
        .collect();
    for flags in [&[ANY][..], &[ANY, "--private-addresses=drop"]] {
        assert_eq!(listed_of(flags, &private).await, (json!([]), every.clone()));
    }
    let flags = [ANY, "--private-addresses=list"];
    assert_eq!(listed_of(&flags, &private).await, (json!(private), vec![]));
    let others = [
        "/ip6/fd00:4f07::1/tcp/4001",
        "/ip6/2001:db8::1/tcp/4001",
        "/dns4/10.example.org/tcp/4001",
        "/ip4/172.32.0.1/tcp/4001",
    ];
    assert_eq!(listed_of(&[ANY], &others).await, (json!(others), vec![]));
}

#[actix_web::test]
async fn under_any_the_crypto_ipv6_is_any_short_text() {
    let registry = TestRegistry::start_with(&[ANY]).await;
    for text in [
        "fd00:test:1234:5678:9abc:def0:1234:5678",
        "2001:db8::1",
        "x",
        "none yet",
    ] {
        let body = json!({ "peerId": "a", "addresses": [], "cryptoIPv6": text });
        let answer = registry.register(&body).await.ok();
        assert_eq!(answer.get("dropped"), None);
        let listed = registry.peers("").await.ok();
        assert_eq!(listed["peers"][0]["cryptoIPv6"], text);
    }
    for bad in [
        json!(1),
        json!("x".repeat(65)),
        json!("a\u{200b}b"),
        json!([]),
    ] {
        let body = json!({ "peerId": "a", "addresses": [], "cryptoIPv6": bad });
        let answer = registry.register(&body).await.ok();
        assert_eq!(answer["dropped"][0]["field"], "cryptoIPv6", "{bad}");
        let listed = registry.peers("").await.ok();
        assert_eq!(listed["peers"][0]["cryptoIPv6"], Value::Null);
    }
}

#[actix_web::test]
async fn blanks_around_a_network_id_do_not_hide_a_node() {
    let registry = TestRegistry::start().await;
    for (id, network) in [("a", " mainnet"), ("b", "mainnet\n"), ("c", "mainnet")] {
        let mut body = peer(id);
        body["networkId"] = json!(network);
        registry.register(&body).await.ok();
    }
    for query in ["networkId=mainnet", "networkId=%20mainnet%0a"] {
        assert_eq!(registry.peers(query).await.ok()["total"], 3, "{query}");
    }
}
