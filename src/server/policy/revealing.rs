//! What an address reveals about its peer.

use std::net::{IpAddr, Ipv6Addr};

use multiaddr::Protocol;
use serde_json::Value;

use crate::protocol::PeerId;
use crate::server::policy::hosts::loose_ipv6;

/// The max size of a hash in an address, in bytes of text: 64 bytes in base 16. To decode a text in base
/// 58 takes a time that grows with the square of its length.
const MAX_HASH_BYTES: usize = 160;

/// What an address says about its peer, beside its crypto-IPv6. The last one of these that a part of an
/// address has is that of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// Nothing but a transport.
    Private,
    /// No other host, but something that is no transport from the crypto-IPv6 to the peer: a zone, a
    /// path, a rendezvous protocol, or no IP address in front.
    Useless,
    /// It goes on with text that the parser does not know, in which no host was found.
    Unknown,
    /// It is no multiaddr, and no host was found in it.
    NoMultiaddr,
    /// Another host, or something that may lead to one.
    Revealing,
}

impl Finding {
    fn or_revealing(self, reveals: bool) -> Self {
        if reveals { Self::Revealing } else { self }
    }
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
        let reveals = text_mentions_a_host(address, is_own, peer_id);
        return Finding::NoMultiaddr.or_revealing(reveals);
    };
    let mut parts = text.split('/');
    let mut finding = Finding::Private;
    let mut is_first = true;
    while let Some(name) = parts.next() {
        let mut rest = parts.clone();
        let is_peer = matches!(name, "p2p" | "ipfs");
        let value = rest.clone().next().unwrap_or_default();
        if matches!(name, "unix" | "http-path" | "x-parity-ws" | "x-parity-wss") {
            let reveals = rest.any(|part| path_names_a_host(part, is_own)) || names_protocol(parts);
            return finding.max(Finding::Useless.or_revealing(reveals));
        }
        let part = if is_peer && value == peer_id.as_str() {
            parts.next();
            finding = finding.max(behind(is_first));
            is_first = false;
            continue;
        } else if (is_peer || name == "certhash") && value.len() > MAX_HASH_BYTES {
            None
        } else {
            Protocol::from_str_parts(std::iter::once(name).chain(parts.by_ref())).ok()
        };
        let Some(part) = part else {
            let mut all = std::iter::once(name).chain(rest);
            let reveals = all.any(|part| may_name_a_host(part, is_own, peer_id));
            let unread = match is_first {
                true => Finding::NoMultiaddr,
                false => Finding::Unknown,
            };
            return finding.max(unread.or_revealing(reveals));
        };
        finding = finding.max(examine_part(&part, is_own, peer_id, is_first));
        is_first = false;
    }
    finding
}

/// The finding for a transport, which must have an IP address in front.
const fn behind(is_first: bool) -> Finding {
    match is_first {
        true => Finding::Useless,
        false => Finding::Private,
    }
}

/// Examines one known part of a multiaddr.
fn examine_part(
    part: &Protocol<'_>,
    is_own: impl Fn(&Ipv6Addr) -> bool + Copy,
    peer_id: &PeerId,
    is_first: bool,
) -> Finding {
    match part {
        Protocol::Ip6(ip) => Finding::Private.or_revealing(!is_own(ip)),
        Protocol::Ip4(_)
        | Protocol::Dns(_)
        | Protocol::Dns4(_)
        | Protocol::Dns6(_)
        | Protocol::Dnsaddr(_)
        | Protocol::Sni(_)
        | Protocol::Onion(..)
        | Protocol::Onion3(_)
        | Protocol::Garlic32(_)
        | Protocol::Garlic64(_) => Finding::Revealing,
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
        | Protocol::Ws(_)
        | Protocol::Wss(_)
        | Protocol::WebTransport
        | Protocol::WebRTC
        | Protocol::WebRTCDirect
        | Protocol::P2pWebRtcDirect
        | Protocol::Certhash(_)
        | Protocol::P2p(_)
        | Protocol::P2pCircuit => behind(is_first),
        other => {
            let text = other.to_string();
            let reveals = text
                .split('/')
                .any(|part| may_name_a_host(part, is_own, peer_id));
            Finding::Useless.or_revealing(reveals)
        }
    }
}

/// Whether an entry that is no address in form, perhaps not even a text, may name a host other than
/// the own crypto-IPv6.
pub(crate) fn mentions_a_host(
    value: &Value,
    is_own: impl Fn(&Ipv6Addr) -> bool + Copy,
    peer_id: &PeerId,
) -> bool {
    let in_text = |text: &str| text_mentions_a_host(text, is_own, peer_id);
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

/// Whether a text in any form may name a host other than the own crypto-IPv6.
fn text_mentions_a_host(
    text: &str,
    is_own: impl Fn(&Ipv6Addr) -> bool + Copy,
    peer_id: &PeerId,
) -> bool {
    let is_scheme =
        |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_alphanumeric());
    let text = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        _ => text,
    };
    text.split(|c: char| c == '/' || c.is_whitespace())
        .any(|part| may_name_a_host(part, is_own, peer_id))
}

/// Whether a part of a text that is no known multiaddr may name a host.
fn may_name_a_host(part: &str, is_own: impl Fn(&Ipv6Addr) -> bool, peer_id: &PeerId) -> bool {
    /// What separates the labels of a name (also in scripts with wider characters), the groups of an
    /// address, a name from a port, a user from a host; and what escapes one of these.
    const SEPARATORS: [char; 7] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}', ':', '@', '%'];
    if part == peer_id.as_str() || loose_ipv6(part).is_some_and(|(_, ip)| is_own(&ip)) {
        return false;
    }
    part.contains(SEPARATORS) || names_protocol(std::iter::once(part))
}

/// Whether one of the parts is the name of a protocol whose value is a host name, which may have no
/// separator. An IP address has one.
fn names_protocol<'p>(mut parts: impl Iterator<Item = &'p str>) -> bool {
    const PROTOCOL: &str = "dns";
    parts.any(|part| {
        part.get(..PROTOCOL.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(PROTOCOL))
    })
}

/// Whether a part of a path on the peer's own machine holds an IP address. A dot is no sign of a host
/// there: files have names like `node.sock`.
fn path_names_a_host(part: &str, is_own: impl Fn(&Ipv6Addr) -> bool) -> bool {
    let decoded = form_urlencoded::parse(part.as_bytes());
    let text: String = decoded
        .flat_map(|(name, value)| [name, " ".into(), value])
        .collect();
    let is_other = |ip: IpAddr| match ip {
        IpAddr::V6(ip) => !is_own(&ip),
        IpAddr::V4(_) => true,
    };
    let holds_ip = |text: &str, is_letter: fn(char) -> bool| {
        text.split(|c| !is_letter(c))
            .any(|word| word.parse().is_ok_and(is_other))
    };
    text.contains('@')
        || text.contains("://")
        || names_protocol(text.split('/'))
        || holds_ip(&text, |c| c.is_ascii_digit() || c == '.')
        || holds_ip(&text, |c| c.is_ascii_hexdigit() || c == ':')
}

#[cfg(test)]
mod tests;
