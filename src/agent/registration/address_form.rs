//! Whether a text can be an address at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address must look like, for people.
pub(crate) const FORM: &str =
    "a multiaddr like /ip4/203.0.113.7/tcp/4001, nor a host with a port, nor a URL";

/// Whether `text` can be an address: a multiaddr, a URL, or a host. A transport that is unknown here is
/// for the registry to judge.
pub(crate) fn may_be_address(text: &str) -> bool {
    if let Some(multiaddr) = text.strip_prefix('/') {
        return may_be_multiaddr(multiaddr);
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if is_name(scheme) => rest.split(['/', '?', '#']).next(),
        _ => Some(text),
    };
    rest.is_some_and(may_be_host)
}

fn may_be_multiaddr(text: &str) -> bool {
    let mut parts = text.split('/');
    match (parts.next(), parts.next()) {
        (Some("ip4"), Some(ip)) => ip.parse::<Ipv4Addr>().is_ok(),
        (Some("ip6"), Some(ip)) => ip.parse::<Ipv6Addr>().is_ok(),
        (Some(protocol), Some(value)) => is_name(protocol) && !value.is_empty(),
        _ => false,
    }
}

/// A single word is no host: no other machine knows it.
fn may_be_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let (host, has_port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, true),
        Some(_) => return false,
        None => (text, false),
    };
    let in_brackets = host.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    match in_brackets {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_of_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
            let is_word = !host.contains('.');
            !host.is_empty() && host.chars().all(is_of_host) && (has_port || !is_word)
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'_');
    !text.is_empty() && text.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_address_and_every_form_of_the_field_is() {
        for good in [
            "/ip4/203.0.113.7/tcp/4001",
            "/ip6/2001:db8::1/udp/4001/quic-v1/webtransport/certhash/uEi",
            "/ip6/fd00:1::1/udp/4001/some-new-transport",
            "/dns4/node.example.org/tcp/4001",
            "/ip6zone/eth0/ip6/fe80::1",
            "203.0.113.7",
            "203.0.113.7:4001",
            "2001:db8::1",
            "[2001:db8::1]:4001",
            "node.example.org",
            "node:4001",
            "https://node.example.org/p2p",
            "tcp://203.0.113.7:4001",
        ] {
            assert!(may_be_address(good), "{good}");
        }
        for bad in [
            "garbage",
            "",
            "/",
            "//",
            "/ip4",
            "/ip4/",
            "/ip4/300.1.1.1/tcp/1",
            "/ip6/203.0.113.7/tcp/1",
            "/ip 4/1.2.3.4",
            "node:port",
            "[::1",
            "!!!.???",
            "://x.org",
            "https://",
        ] {
            assert!(!may_be_address(bad), "{bad}");
        }
    }
}
