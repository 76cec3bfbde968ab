//! What an address reveals about its peer.

use std::net::Ipv6Addr;

use multiaddr::Protocol;
use serde_json::Value;

use crate::protocol::PeerId;

/// The max size of a hash in an address, in bytes of text: 64 bytes in base 16. To decode a text in base
/// 58 takes a time that grows with the square of its length.
const MAX_HASH_BYTES: usize = 160;

/// What an address says about its peer, beside its crypto-IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing but a transport.
    Private,
    /// It goes on with text that the parser does not know, in which no host was found.
    Unknown,
    /// A host, or something that may lead to one.
    Revealing,
    /// It is no multiaddr.
    NoMultiaddr,
}

/// Examines a multiaddr of a peer. `is_own` says which address is its crypto-IPv6.
///
/// It lists the protocols that are allowed, not those that are forbidden, so that a protocol that is
/// added to multiaddr later cannot leak by default. The value of `/p2p/` may also be the peer's own
/// id: it may have a form that libp2p does not know, and is listed anyway.
pub(crate) fn examine(
    address: &str,
    is_own: impl Fn(&Ipv6Addr) -> bool + Copy,
    peer_id: &PeerId,
) -> Finding {
    let Some(text) = address.strip_prefix('/') else {
        return Finding::NoMultiaddr;
    };
    let mut parts = text.split('/');
    let mut reveals = false;
    let mut is_first = true;
    while let Some(name) = parts.next() {
        let rest = parts.clone();
        if matches!(name, "p2p" | "ipfs") && parts.clone().next() == Some(peer_id.as_str()) {
            parts.next();
            reveals |= is_first;
        } else {
            let is_slow = matches!(name, "p2p" | "ipfs" | "certhash")
                && rest
                    .clone()
                    .next()
                    .is_some_and(|value| value.len() > MAX_HASH_BYTES);
            let part = if is_slow {
                None
            } else {
                Protocol::from_str_parts(std::iter::once(name).chain(parts.by_ref())).ok()
            };
            match part {
                Some(part) => reveals |= is_revealing(&part, is_own, is_first),
                None if is_first => return Finding::NoMultiaddr,
                None => {
                    let mut rest = std::iter::once(name).chain(rest);
                    reveals |= rest.any(|part| may_name_a_host(part, is_own, peer_id));
                    return match reveals {
                        true => Finding::Revealing,
                        false => Finding::Unknown,
                    };
                }
            }
        }
        is_first = false;
    }
    match reveals {
        true => Finding::Revealing,
        false => Finding::Private,
    }
}

/// Whether an entry that is no address in form, perhaps not even a text, may name a host other than
/// the own crypto-IPv6.
pub(crate) fn mentions_a_host(
    value: &Value,
    is_own: impl Fn(&Ipv6Addr) -> bool + Copy,
    peer_id: &PeerId,
) -> bool {
    let in_text = |text: &str| {
        text.split(|c: char| c == '/' || c.is_whitespace())
            .any(|part| may_name_a_host(part, is_own, peer_id))
    };
    match value {
        Value::String(text) => in_text(text),
        Value::Array(items) => items
            .iter()
            .any(|item| mentions_a_host(item, is_own, peer_id)),
        Value::Object(map) => map
            .iter()
            .any(|(key, item)| in_text(key) || mentions_a_host(item, is_own, peer_id)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a part of a text that is no known multiaddr may name a host.
fn may_name_a_host(part: &str, is_own: impl Fn(&Ipv6Addr) -> bool, peer_id: &PeerId) -> bool {
    /// What separates the labels of a name (also in scripts with wider characters), the groups of an
    /// address, a name from a port, a user from a host; and what escapes one of these.
    const SEPARATORS: [char; 7] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}', ':', '@', '%'];
    if part == peer_id.as_str() || part.parse().is_ok_and(|ip| is_own(&ip)) {
        return false;
    }
    let begins_with = |protocol: &str| {
        part.get(..protocol.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(protocol))
    };
    part.contains(SEPARATORS) || begins_with("dns") || begins_with("ip4")
}

fn is_revealing(part: &Protocol<'_>, is_own: impl Fn(&Ipv6Addr) -> bool, is_first: bool) -> bool {
    match part {
        Protocol::Ip6(ip) => !is_own(ip),
        Protocol::Tcp(_)
        | Protocol::Udp(_)
        | Protocol::Dccp(_)
        | Protocol::Sctp(_)
        | Protocol::Udt
        | Protocol::Utp
        | Protocol::Quic
        | Protocol::QuicV1
        | Protocol::Tls
        | Protocol::Noise
        | Protocol::Http
        | Protocol::Https
        | Protocol::WebTransport
        | Protocol::WebRTC
        | Protocol::WebRTCDirect
        | Protocol::P2pWebRtcDirect
        | Protocol::Certhash(_)
        | Protocol::P2p(_)
        | Protocol::P2pCircuit => is_first,
        Protocol::Ws(path) | Protocol::Wss(path) => is_first || path != "/",
        _ => true,
    }
}

#[cfg(test)]
mod tests {
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
            "/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit".to_owned(),
            "/tcp/4001".to_owned(),
            "/memory/7".to_owned(),
            format!(
                "/ip6/{OWN}/tcp/1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit/ip4/198.51.100.7/tcp/1"
            ),
            format!("/ip6/{OWN}/tcp/1/tls/sni/example.org/ws"),
            format!("/ip6/{OWN}/tcp/1/dns4/example.org"),
            format!("/ip6zone/eth0/ip6/{OWN}/tcp/1"),
        ] {
            assert_eq!(finding(&address), Finding::Revealing, "{address}");
        }
    }

    #[test]
    fn text_that_is_no_multiaddr_is_an_error() {
        for address in [
            "",
            "x",
            "198.51.100.7:4001",
            "/ip6",
            "/ip6/not-an-address/tcp/1",
            "/new",
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
            "/new/ip4/x",
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
}
