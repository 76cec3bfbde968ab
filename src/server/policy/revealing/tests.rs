//! Addresses in every form, and what they reveal.

use serde_json::json;

use super::*;

const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";

fn finding(address: &str) -> Finding {
    let own: Ipv6Addr = OWN.parse().unwrap();
    let peer_id = PeerId::from_trusted("own-id.of_the-peer");
    examine(address, |ip| *ip == own, &peer_id)
}

#[test]
fn transports_under_the_own_crypto_ipv6_reveal_nothing() {
    for tail in [
        "",
        "/tcp/4001",
        "/tcp/4001/ws",
        "/tcp/4001/tls/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        "/udp/4001/quic-v1/webtransport",
        "/tcp/4001/p2p/own-id.of_the-peer",
        "/tcp/4001/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit/p2p/own-id.of_the-peer",
    ] {
        assert_eq!(
            finding(&format!("/ip6/{OWN}{tail}")),
            Finding::Private,
            "{tail}"
        );
    }
    assert_eq!(
        finding("/ip6/fd00:4f07:6435:12b1:1e30:8071:EEA8:27EC/tcp/1"),
        Finding::Private
    );
}

#[test]
fn any_other_host_anywhere_reveals_the_peer() {
    for address in [
        "/ip4/198.51.100.7/tcp/4001".to_owned(),
        "/dns/example.org/tcp/4001".to_owned(),
        "/dns4/example.org/tcp/4001".to_owned(),
        "/dns6/example.org/tcp/4001".to_owned(),
        "/dnsaddr/example.org".to_owned(),
        "/ip6/2001:db8::1/tcp/4001".to_owned(),
        "/ip6/fd00::1/tcp/4001".to_owned(),
        "198.51.100.7:4001".to_owned(),
        "home.example.org".to_owned(),
        "home:4001".to_owned(),
        "[fd00::1]:4001".to_owned(),
        "http://home.example.org".to_owned(),
        format!("http://user@[{OWN}]:4001"),
        format!("/ip6/{OWN}%198.51.100.7/tcp/1"),
        format!("/ip6zone/198.51.100.7/ip6/{OWN}/tcp/1"),
        "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234".to_owned(),
        "/dns4/star.example.org/tcp/443/wss/p2p-webrtc-star".to_owned(),
        format!("/ip6/{OWN}/tcp/1/http/http-path/x%2F198.51.100.7"),
        format!("/ip6/{OWN}/tcp/1/http/http-path/http%3A%2F%2Fhome"),
        format!("/ip6/{OWN}/tcp/1/x-parity-ws/[2001:db8::1]"),
        "/unix/tmp/ip4/198.51.100.7".to_owned(),
        "/unix/tmp/dns4/home".to_owned(),
        format!(
            "/ip6/{OWN}/tcp/1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit/ip4/198.51.100.7/tcp/1"
        ),
        format!("/ip6/{OWN}/tcp/1/tls/sni/example.org/ws"),
        format!("/ip6/{OWN}/tcp/1/dns4/example.org"),
    ] {
        assert_eq!(finding(&address), Finding::Revealing, "{address}");
    }
}

#[test]
fn what_leads_to_no_other_host_is_told_from_what_does() {
    for address in [
        "/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit".to_owned(),
        "/p2p/own-id.of_the-peer".to_owned(),
        "/tcp/4001".to_owned(),
        "/memory/7".to_owned(),
        "/unix/run/node.sock".to_owned(),
        "/p2p-webrtc-star".to_owned(),
        format!("/ip6zone/eth0/ip6/{OWN}/tcp/1"),
        format!("/ip6/{OWN}/ipcidr/64"),
        format!("/ip6/{OWN}/tcp/1/ws/p2p-webrtc-star"),
        format!("/ip6/{OWN}/tcp/1/ws/p2p-websocket-star"),
        format!("/ip6/{OWN}/tcp/1/http/http-path/v1%2Findex.html"),
        format!("/ip6/{OWN}/tcp/1/x-parity-ws/chat"),
    ] {
        assert_eq!(finding(&address), Finding::Useless, "{address}");
    }
}

#[test]
fn text_that_is_no_multiaddr_and_names_no_host_is_told_from_one_that_does() {
    for address in [
        "",
        "x",
        "/foo/bar",
        "/ip6",
        "/ip6/not-an-address/tcp/1",
        "/ip4/undefined/tcp/4001",
        "/ip4//tcp/4001",
        "/new",
        OWN,
        &format!("[{OWN}]:4001"),
        &format!("{OWN}:4001"),
        &format!("{OWN}/64"),
        &format!("{OWN}%eth0"),
        &format!("[{OWN}%25eth0]:4001"),
        &format!("http://[{OWN}]:4001/path"),
        &format!("/ip6/{OWN}%eth0/tcp/1"),
        &format!("/ip6/[{OWN}]/tcp/1"),
    ] {
        assert_eq!(finding(address), Finding::NoMultiaddr, "{address}");
    }
}

#[test]
fn an_unknown_tail_is_told_from_one_that_may_name_a_host() {
    for tail in [
        "/udp/4001/some-new-transport",
        "/tcp/notaport",
        "/tcp/4001/",
        "/tcp/4001/p2p/",
        "/tcp/4001/p2p/b",
        "/new/fd00:4f07:6435:12b1:1e30:8071:eea8:27ec/1",
        "/new/p2p/own-id.of_the-peer",
        // A hash of 32 bytes in base 2.
        &format!("/udp/1/certhash/00001001000100000{}", "0".repeat(256)),
    ] {
        assert_eq!(
            finding(&format!("/ip6/{OWN}{tail}")),
            Finding::Unknown,
            "{tail}"
        );
    }
    for tail in [
        "/tcp/4001/p2p/198.51.100.7",
        "/tcp/4001/p2p/home.example.org",
        "/new/198.51.100.7",
        "/new/2001:db8::1",
        "/new/dns4/home",
        "/new/DNS4/home",
        "/new/home\u{3002}example",
        "/new/user@home",
        "/new/fd00:4f07:6435:12b1:1e30:8071:eea8:27ed",
        "/new/home%2Eexample%2Eorg",
        "/tcp/70000/dns/home",
    ] {
        assert_eq!(
            finding(&format!("/ip6/{OWN}{tail}")),
            Finding::Revealing,
            "{tail}"
        );
    }
}

#[test]
fn a_host_is_found_in_text_and_json_that_is_no_address() {
    let own: Ipv6Addr = OWN.parse().unwrap();
    let peer_id = PeerId::from_trusted("own-id.of_the-peer");
    let mentions = |value: Value| mentions_a_host(&value, |ip| *ip == own, &peer_id);
    for value in [
        json!("/ip4/198.51.100.7/tcp/1 "),
        json!("198.51.100.7\n"),
        json!(format!("/ip6/{OWN}/tcp/1 /dns4/home/tcp/1")),
        json!({ "host": "home.example.org" }),
        json!({ "198.51.100.7": 4001 }),
        json!([[1, { "a": "2001:db8::1" }]]),
    ] {
        assert!(mentions(value.clone()), "{value}");
    }
    for value in [
        json!(null),
        json!(1.5),
        json!(true),
        json!(""),
        json!("a b"),
        json!(format!("/ip6/{OWN}/tcp/4001 ")),
        json!(format!("/ip6/{OWN}/tcp/1/p2p/own-id.of_the-peer\t")),
        json!({ "port": 4001 }),
    ] {
        assert!(!mentions(value.clone()), "{value}");
    }
}
