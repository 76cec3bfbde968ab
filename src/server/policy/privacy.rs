//! Which addresses a peer may announce.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use multiaddr::Protocol;

use crate::protocol::{Announced, DroppedFields, PeerId, RegisterRequest, RequestError};
use crate::server::config::{AddressPolicy, PrivateAddresses};
use crate::server::model::{Profile, Registration};
use crate::server::policy::hosts::{Host, hosts_in, is_crypto_ipv6};
use crate::server::policy::turn;

const CRYPTO_IPV6_FORM: &str = "an IPv6 address whose first group is fd00";

/// Which addresses the operator lets peers list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressRules {
    /// Which hosts an address may name.
    pub policy: AddressPolicy,
    /// Whether addresses of private networks are listed under the policy `any`.
    pub private_addresses: PrivateAddresses,
    /// The max number of addresses of a peer.
    pub max_addresses: usize,
}

/// Turns an announcement into a registration, without the addresses that no other peer could use.
/// Returns what was dropped, too.
///
/// # Errors
/// `privacy_violation` for an address that the policy keeps private, `invalid_field` for text that is
/// not an address, `missing_field` if there is no crypto-IPv6 although the policy needs one.
pub(crate) fn admit(
    announced: Announced<RegisterRequest>,
    rules: AddressRules,
) -> Result<(Registration, DroppedFields), RequestError> {
    let Announced {
        mut request,
        mut dropped,
    } = announced;
    for address in &mut request.addresses {
        with_canonical_ids(address);
    }
    let crypto_ipv6 = match rules.policy {
        AddressPolicy::CryptoIpv6 => Some(keep_crypto_only(&mut request, &mut dropped)?),
        AddressPolicy::Any => {
            keep_reachable(
                &mut request.addresses,
                rules.private_addresses,
                &mut dropped,
            );
            request.crypto_ipv6
        }
    };
    let surplus = request.addresses.len().saturating_sub(rules.max_addresses);
    if surplus > 0 {
        let reason = format!(
            "a peer may list {} addresses, {surplus} more were left out",
            rules.max_addresses
        );
        dropped.add("addresses", reason);
        request.addresses.truncate(rules.max_addresses);
    }
    if let Some(offer) = &request.turn {
        turn::check_offer(offer, rules.policy)?;
    }
    let registration = Registration {
        peer_id: request.peer_id,
        turn_capable: request.turn_capable,
        profile: Profile {
            addresses: request.addresses,
            crypto_ipv6,
            stores: request.stores,
            version: request.version,
            privacy_mode: request.privacy_mode,
            capabilities: request.capabilities.map(|json| json.to_string()),
            capability_list: request.capability_list.map(|json| json.to_string()),
            bootstrap_capable: request.bootstrap_capable,
            network_id: request.network_id,
            software_version: request.software_version,
            server_port: request.server_port,
            node_type: request.node_type,
            turn_capable: false,
            turn: request.turn,
        },
    };
    Ok((registration, dropped))
}

/// Writes the libp2p ids in a multiaddr in their usual form.
fn with_canonical_ids(address: &mut String) {
    if !address.contains("/p2p/") && !address.contains("/ipfs/") {
        return;
    }
    let mut parts: Vec<Cow<'_, str>> = address.split('/').map(Cow::Borrowed).collect();
    for index in 1..parts.len() {
        if matches!(&*parts[index - 1], "p2p" | "ipfs")
            && let Some(id) = PeerId::canonical(&parts[index])
        {
            parts[index] = Cow::Owned(id);
        }
    }
    let canonical = parts.join("/");
    *address = canonical;
}

/// Under the policy `any`: drops the addresses that lead to no other machine. Who dials them reaches
/// itself or a stranger in its own network, whose operator takes it for a scan.
fn keep_reachable(
    addresses: &mut Vec<String>,
    private_addresses: PrivateAddresses,
    dropped: &mut DroppedFields,
) {
    let mut index = 0;
    addresses.retain(|address| {
        let field = format!("addresses[{index}]");
        index += 1;
        let hosts = hosts_in(address);
        if hosts.iter().any(Host::is_local) {
            dropped.add(
                field,
                "it is loopback, unspecified, link-local or multicast",
            );
            return false;
        }
        let is_private = hosts.iter().any(Host::is_private);
        if is_private && private_addresses == PrivateAddresses::Drop {
            let reason = "it is in a private network, and this registry lists none of these";
            dropped.add(field, reason);
            return false;
        }
        true
    });
}

/// Parses a crypto-IPv6; `None` if it is another kind of IPv6 address.
fn parse_crypto_ipv6(text: &str) -> Result<Option<Ipv6Addr>, RequestError> {
    let address = Ipv6Addr::from_str(text)
        .map_err(|_| RequestError::invalid("cryptoIPv6", CRYPTO_IPV6_FORM))?;
    Ok(is_crypto_ipv6(&address).then_some(address))
}

/// Holds a request to the policy `crypto-ipv6`. Returns its crypto-IPv6 in the spelling of the peer.
fn keep_crypto_only(
    request: &mut RegisterRequest,
    dropped: &mut DroppedFields,
) -> Result<String, RequestError> {
    let (text, own) = match &request.crypto_ipv6 {
        Some(text) => {
            let own = parse_crypto_ipv6(text)?
                .ok_or_else(|| RequestError::privacy("cryptoIPv6", CRYPTO_IPV6_FORM))?;
            (text.clone(), own)
        }
        None => crypto_ipv6_of_addresses(request)?,
    };
    let mut kept = Vec::with_capacity(request.addresses.len());
    let announced = std::mem::take(&mut request.addresses);
    for (index, address) in announced.into_iter().enumerate() {
        let field = format!("addresses[{index}]");
        match examine(&address, &own, &request.peer_id) {
            Finding::Private => kept.push(address),
            Finding::Unknown => {
                dropped.add(
                    field,
                    "it goes on with something that is no known multiaddr",
                );
            }
            Finding::Revealing => {
                let form = format!(
                    "a multiaddr that starts with /ip6/{text} and names no other host: this \
                     registry lists crypto-IPv6 addresses only"
                );
                return Err(RequestError::privacy(field, &form));
            }
            Finding::NoMultiaddr => {
                let form = format!("a multiaddr that starts with /ip6/{text}");
                return Err(RequestError::invalid(field, &form));
            }
        }
    }
    request.addresses = kept;
    Ok(text)
}

/// Takes the crypto-IPv6 from the first address that has one.
fn crypto_ipv6_of_addresses(request: &RegisterRequest) -> Result<(String, Ipv6Addr), RequestError> {
    let Some(first) = request.addresses.first() else {
        let form = format!("{CRYPTO_IPV6_FORM} (there is no address to take it from)");
        return Err(RequestError::missing("cryptoIPv6", &form));
    };
    let found = request.addresses.iter().find_map(|address| {
        let text = address.strip_prefix("/ip6/")?.split('/').next()?;
        let own = Ipv6Addr::from_str(text).ok().filter(is_crypto_ipv6)?;
        Some((text.to_owned(), own))
    });
    if let Some(found) = found {
        return Ok(found);
    }
    let form = "a multiaddr that starts with /ip6/ and an address whose first group is fd00";
    // Any own address will do to find out whether the text is a multiaddr.
    match examine(first, &Ipv6Addr::UNSPECIFIED, &request.peer_id) {
        Finding::NoMultiaddr => Err(RequestError::invalid("addresses[0]", form)),
        _ => Err(RequestError::privacy("addresses[0]", form)),
    }
}

/// What an address says about its peer, beside its crypto-IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// Nothing but a transport.
    Private,
    /// It goes on with text that the parser does not know, in which no host was found.
    Unknown,
    /// A host, or something that may lead to one.
    Revealing,
    /// It is no multiaddr.
    NoMultiaddr,
}

/// Examines a multiaddr of a peer with the crypto-IPv6 `own`.
///
/// It lists the protocols that are allowed, not those that are forbidden, so that a protocol that is
/// added to multiaddr later cannot leak by default. The value of `/p2p/` may also be the peer's own
/// id: it may have a form that libp2p does not know, and is listed anyway.
fn examine(address: &str, own: &Ipv6Addr, peer_id: &PeerId) -> Finding {
    let Some(text) = address.strip_prefix('/') else {
        return Finding::NoMultiaddr;
    };
    let mut parts = text.split('/');
    let mut reveals = false;
    let mut is_first = true;
    while let Some(name) = parts.next() {
        let rest = parts.clone();
        if name == "p2p" && parts.clone().next() == Some(peer_id.as_str()) {
            parts.next();
            reveals |= is_first;
        } else {
            match Protocol::from_str_parts(std::iter::once(name).chain(parts.by_ref())) {
                Ok(part) => reveals |= is_revealing(&part, own, is_first),
                Err(_) if is_first => return Finding::NoMultiaddr,
                Err(_) => {
                    let mut rest = std::iter::once(name).chain(rest);
                    reveals |= rest.any(|part| may_name_a_host(part, own));
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

/// Whether a part of a multiaddr that nobody can parse may name a host.
fn may_name_a_host(part: &str, own: &Ipv6Addr) -> bool {
    if part.parse() == Ok(*own) {
        return false;
    }
    part.parse::<IpAddr>().is_ok()
        || part.contains(['.', ':', '%', '@'])
        || part.starts_with("dns")
        || part.starts_with("ip4")
}

fn is_revealing(part: &Protocol<'_>, own: &Ipv6Addr, is_first: bool) -> bool {
    match part {
        Protocol::Ip6(ip) => ip != own,
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
    use super::*;

    const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";

    fn finding(address: &str) -> Finding {
        let own = OWN.parse().unwrap();
        examine(address, &own, &PeerId::from_trusted("own-id.of_the-peer"))
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
}
