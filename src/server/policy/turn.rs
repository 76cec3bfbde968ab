//! Which TURN servers may be announced, and what a new registration does to an earlier offer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use multiaddr::{Multiaddr, Protocol};

use crate::protocol::{RequestError, TurnOffer};
use crate::server::config::AddressPolicy;
use crate::server::model::Profile;

/// Checks that other peers can reach every address of an offer to relay.
///
/// # Errors
/// `invalid_field` for an address that is neither host nor multiaddr and, unless the policy is
/// `any`, for a loopback, unspecified, link-local or multicast one.
pub(crate) fn check_offer(offer: &TurnOffer, policy: AddressPolicy) -> Result<(), RequestError> {
    for (index, address) in offer.addresses.iter().enumerate() {
        let field = || format!("turnAddresses[{index}]");
        let hosts = hosts_of(address).ok_or_else(|| {
            RequestError::invalid(field(), "a host name, an IP address or a multiaddr")
        })?;
        if policy != AddressPolicy::Any && hosts.iter().any(Host::is_local) {
            return Err(RequestError::invalid(
                field(),
                "reachable by others: not loopback, unspecified, link-local or multicast",
            ));
        }
    }
    Ok(())
}

/// Decides what a profile says about relaying, given the offer that the peer registered before.
///
/// `turnCapable: false` withdraws the offer, TURN fields with `true` replace it, and otherwise it is
/// kept.
pub(crate) fn apply_to_offer(
    profile: &mut Profile,
    asked: Option<bool>,
    earlier: Option<&TurnOffer>,
) {
    profile.turn = match (asked, profile.turn.take()) {
        (Some(false), _) => None,
        (Some(true), Some(offer)) => Some(offer),
        _ => earlier.cloned(),
    };
    profile.turn_capable = profile.turn.is_some() || asked == Some(true);
}

/// The first host that an address names, in the form for a URI (RFC 3986, section 3.2.2).
pub(crate) fn host_of(address: &str) -> Option<String> {
    hosts_of(address)?
        .into_iter()
        .next()
        .map(|host| match host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name,
        })
}

enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    fn is_local(&self) -> bool {
        match self {
            Self::Ip(IpAddr::V4(ip)) => is_local_ipv4(*ip),
            Self::Ip(IpAddr::V6(ip)) => is_local_ipv6(*ip),
            Self::Name(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost"
                    || name.ends_with(".localhost")
                    || name.starts_with("localhost.")
                    || name.starts_with("ip6-lo")
            }
        }
    }
}

fn is_local_ipv4(ip: Ipv4Addr) -> bool {
    // All of 0.0.0.0/8 means "this host on this network" (RFC 1122, section 3.2.1.3).
    let is_this_network = ip.octets()[0] == 0;
    is_this_network
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
}

/// The IPv4 address that an IPv6 address contains, if any: mapped and compatible ones
/// (RFC 4291, section 2.5.5), NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

fn is_local_ipv6(ip: Ipv6Addr) -> bool {
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_unicast_link_local()
        || ip.is_multicast()
        || embedded_ipv4(ip).is_some_and(is_local_ipv4)
}

/// The hosts that an address names: one, or for a multiaddr at least one. `None` if the text is
/// neither a host nor a multiaddr.
fn hosts_of(address: &str) -> Option<Vec<Host>> {
    if address.starts_with('/') {
        let multiaddr: Multiaddr = address.parse().ok()?;
        let hosts: Vec<Host> = multiaddr
            .iter()
            .filter_map(|part| match part {
                Protocol::Ip4(ip) => Some(Some(Host::Ip(ip.into()))),
                Protocol::Ip6(ip) => Some(Some(Host::Ip(ip.into()))),
                Protocol::Dns(name)
                | Protocol::Dns4(name)
                | Protocol::Dns6(name)
                | Protocol::Dnsaddr(name) => Some(host(&name)),
                _ => None,
            })
            .collect::<Option<_>>()?;
        return (!hosts.is_empty()).then_some(hosts);
    }
    let in_brackets = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = match in_brackets {
        Some(ip) => ip.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into())),
        None => host(address),
    };
    host.map(|host| vec![host])
}

fn host(text: &str) -> Option<Host> {
    match text.parse() {
        Ok(ip) => Some(Host::Ip(ip)),
        Err(_) => is_host_name(text).then(|| Host::Name(text.to_owned())),
    }
}

/// Whether `name` is a host name by RFC 1123, section 2.1, and not a malformed IPv4 address.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_number = name.rsplit('.').next().is_some_and(|label| {
        label.bytes().all(|byte| byte.is_ascii_digit()) || label.starts_with("0x")
    });
    name.len() <= 253 && name.split('.').all(is_label) && !ends_in_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, policy: AddressPolicy) -> Result<(), RequestError> {
        let offer = TurnOffer {
            addresses: vec![address.to_owned()],
            port: 3478,
            capacity: 10,
        };
        check_offer(&offer, policy)
    }

    #[test]
    fn public_hosts_and_multiaddrs_are_accepted() {
        for address in [
            "203.0.113.20",
            "2001:db8::20",
            "[2001:db8::20]",
            "turn.example.org",
            "turn.example.org.",
            "10.0.0.5",
            "/ip4/203.0.113.20/udp/3478",
            "/dns4/turn.example.org/udp/3478",
        ] {
            assert!(
                check(address, AddressPolicy::CryptoIpv6).is_ok(),
                "{address}"
            );
        }
    }

    #[test]
    fn hosts_that_others_cannot_reach_are_refused_unless_the_policy_is_any() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.1.1",
            "224.0.0.1",
            "::1",
            "[::]",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "0.1.2.3",
            "255.255.255.255",
            "localhost.localdomain",
            "ip6-localhost",
            "/dns4/127.0.0.1/udp/3478",
            "localhost",
            "Turn.LOCALHOST.",
            "/ip4/127.0.0.1/udp/3478",
            "/ip6/::1/udp/3478",
        ] {
            let error = check(address, AddressPolicy::CryptoIpv6).unwrap_err();
            assert_eq!(
                error.field.as_deref(),
                Some("turnAddresses[0]"),
                "{address}"
            );
            assert!(check(address, AddressPolicy::Any).is_ok(), "{address}");
        }
    }

    #[test]
    fn what_is_neither_host_nor_multiaddr_is_refused_under_both_policies() {
        for address in [
            "256.1.1.1",
            "0x7f000001",
            "[1.2.3.4]",
            "/dns4/127.0.0.1./udp/3478",
            "/dns/2130706433/udp/3478",
            "1.2.3",
            "-x.example.org",
            "a..b",
            "exa_mple.org",
            "http://turn.example.org",
            "turn.example.org:3478",
            "/tcp/4001",
            "/nonsense",
        ] {
            for policy in [AddressPolicy::CryptoIpv6, AddressPolicy::Any] {
                assert!(check(address, policy).is_err(), "{address}");
            }
        }
    }

    #[test]
    fn a_registration_withdraws_replaces_or_keeps_the_earlier_offer() {
        let offer = |port| TurnOffer {
            addresses: vec!["203.0.113.20".to_owned()],
            port,
            capacity: 10,
        };
        let earlier = offer(1);
        for (asked, offered, expected_port, expected_capable) in [
            (Some(false), Some(2), None, false),
            (Some(false), None, None, false),
            (Some(true), Some(2), Some(2), true),
            (Some(true), None, Some(1), true),
            (None, Some(2), Some(1), true),
            (None, None, Some(1), true),
        ] {
            let mut profile = Profile {
                turn: offered.map(offer),
                ..Profile::default()
            };
            apply_to_offer(&mut profile, asked, Some(&earlier));
            let port = profile.turn.map(|turn| turn.port);
            assert_eq!(
                (port, profile.turn_capable),
                (expected_port, expected_capable)
            );
        }
        let mut profile = Profile::default();
        apply_to_offer(&mut profile, Some(true), None);
        assert_eq!((profile.turn, profile.turn_capable), (None, true));
    }
}
