//! The hosts that addresses name, and who can reach them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use multiaddr::{Multiaddr, Protocol};

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

/// A host as an address names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A host name.
    Name(String),
}

impl Host {
    /// Whether only the host itself or its link can use it: loopback, unspecified, link-local,
    /// multicast.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Ip(IpAddr::V4(ip)) => is_local_ipv4(*ip),
            Self::Ip(IpAddr::V6(ip)) => is_local_ipv6(*ip),
            Self::Name(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost"
                    || name.ends_with(".localhost")
                    || name.starts_with("localhost.")
                    || name.starts_with("ip6-lo")
                    // Multicast DNS, RFC 6762.
                    || name.ends_with(".local")
            }
        }
    }

    /// Whether it is an address of a private network (RFC 1918, RFC 6598, RFC 4193). Crypto-IPv6
    /// addresses are in the range of RFC 4193, but are no addresses of a network.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Self::Ip(IpAddr::V4(ip)) => is_private_ipv4(*ip),
            Self::Ip(IpAddr::V6(ip)) => {
                // fec0::/10 had this meaning before (RFC 3879).
                let is_site_local = ip.segments()[0] & 0xffc0 == 0xfec0;
                is_site_local
                    || (ip.is_unique_local() && !is_crypto_ipv6(ip))
                    || embedded_ipv4(*ip).is_some_and(is_private_ipv4)
            }
            Self::Name(_) => false,
        }
    }
}

/// Whether an IPv6 address has the form of a crypto-IPv6.
pub(crate) fn is_crypto_ipv6(address: &Ipv6Addr) -> bool {
    address.segments()[0] == 0xfd00
}

fn is_private_ipv4(ip: Ipv4Addr) -> bool {
    // Carriers use 100.64.0.0/10 between themselves and their customers.
    let is_carriers = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
    ip.is_private() || is_carriers
}

fn is_local_ipv4(ip: Ipv4Addr) -> bool {
    // All of 0.0.0.0/8 means "this host on this network" (RFC 1122, section 3.2.1.3).
    let is_this_network = ip.octets()[0] == 0;
    is_this_network
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        // Reserved, 255.255.255.255 included (RFC 1112, section 4).
        || ip.octets()[0] >= 240
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
pub(crate) fn hosts_of(address: &str) -> Option<Vec<Host>> {
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

/// The hosts that any address names, in whatever form: a multiaddr, also with parts that the parser
/// does not know, `host`, `host:port`, or a URI.
pub(crate) fn hosts_in(address: &str) -> Vec<Host> {
    if address.starts_with('/') {
        let parts: Vec<&str> = address.split('/').collect();
        let named = parts.windows(2).filter_map(|pair| {
            match &*pair[0].to_ascii_lowercase() {
                "ip4" | "ip6" | "dns" | "dns4" | "dns6" | "dnsaddr" => loose_host(pair[1]),
                // These lead to another process of the same machine, at most.
                "unix" | "memory" => Some(Host::Name("localhost".to_owned())),
                _ => None,
            }
        });
        return named.collect();
    }
    let after_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        // More than one colon is an IPv6 address without brackets.
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    loose_host(name).into_iter().collect()
}

/// A host in a form that only some programs take: with a zone, in the forms of IPv4 addresses that
/// `inet_aton` reads, or a wildcard.
fn loose_host(text: &str) -> Option<Host> {
    let text = text.split('%').next().unwrap_or_default();
    if text.is_empty() || text == "*" {
        return Some(Host::Ip(Ipv4Addr::UNSPECIFIED.into()));
    }
    host(text).or_else(|| Some(Host::Ip(loose_ipv4(text)?.into())))
}

/// Reads one to four numbers, decimal, octal or hexadecimal, of which the last fills the rest.
fn loose_ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| match text.strip_prefix('0') {
        None | Some("") => text.parse().ok(),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => u32::from_str_radix(rest, 8).ok(),
        },
    };
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 0xff) {
        return None;
    }
    let bits = 8 * first.len() as u32;
    let high = first.iter().fold(0, |high: u32, part| high << 8 | part);
    let is_small = u64::from(*last) < 1 << (u32::BITS - bits);
    let address = u64::from(high) << (u32::BITS - bits) | u64::from(*last);
    is_small.then(|| Ipv4Addr::from_bits(address as u32))
}

/// Reads an IPv6 address in the forms in which people and programs pass it on: in brackets, with a
/// zone, with a port or with the length of a prefix. Returns the address alone, and its text.
pub(crate) fn loose_ipv6(text: &str) -> Option<(&str, Ipv6Addr)> {
    let text = text.trim();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (inner, after) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find('/').unwrap_or(text.len())),
    };
    let is_port_or_prefix = after.strip_prefix([':', '/']).is_some_and(is_number);
    if !after.is_empty() && !is_port_or_prefix {
        return None;
    }
    let address = match inner.split_once('%') {
        Some((address, zone)) if is_zone(zone) => address,
        Some(_) => return None,
        None => inner,
    };
    if let Ok(ip) = address.parse() {
        return Some((address, ip));
    }
    // Without brackets, only a ninth group is certainly a port.
    let (address, port) = address.rsplit_once(':')?;
    let is_whole = address.matches(':').count() == 7 && is_number(port);
    let ip = address.parse().ok().filter(|_| is_whole)?;
    Some((address, ip))
}

/// Whether it is the name of a network interface, and not of a host: `eth0`, `eth0.100`.
fn is_zone(text: &str) -> bool {
    let is_name = |text: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..=32).contains(&text.len()) && text.bytes().all(is_letter)
    };
    match text.split_once('.') {
        Some((name, number)) => is_name(name) && number.parse::<u16>().is_ok(),
        None => is_name(text),
    }
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

    #[test]
    fn addresses_of_private_networks_are_told_from_public_ones_and_crypto_ipv6() {
        let is_private = |address: &str| hosts_of(address).unwrap().iter().any(Host::is_private);
        for private in [
            "10.0.0.5",
            "/ip4/192.168.1.7/tcp/4001",
            "/ip4/172.31.0.1/udp/4001/quic-v1",
            "/ip4/100.64.0.9/tcp/1",
            "/ip6/fd12:3456::1/tcp/4001",
            "/ip6/fc00::1/tcp/4001",
            "/ip6/fec0::1/tcp/4001",
            "/ip6/::ffff:10.0.0.5/tcp/4001",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in [
            "/ip4/203.0.113.20/tcp/4001",
            "/ip4/172.32.0.1/tcp/4001",
            "/ip4/100.128.0.1/tcp/4001",
            "/ip6/fd00:4f07::1/tcp/4001",
            "/ip6/2001:db8::1/tcp/4001",
            "/dns4/10.example.org/tcp/4001",
        ] {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn an_ipv6_address_is_read_in_the_forms_in_which_it_is_passed_on() {
        let whole = "fd00:1:2:3:4:5:6:7";
        for (text, address) in [
            ("fd00::1", "fd00::1"),
            ("  fd00::1\n", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("[FD00::1]:4001", "FD00::1"),
            ("fd00::1/64", "fd00::1"),
            ("[fd00::1]/64", "fd00::1"),
            ("fd00::1%eth0", "fd00::1"),
            ("[fd00::1%25eth0.100]:4001", "fd00::1"),
            ("fd00:1:2:3:4:5:6:7:4001", whole),
        ] {
            let expected = (address, address.parse().unwrap());
            assert_eq!(loose_ipv6(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "[fd00::1",
            "fd00::1]",
            "[fd00::1]x",
            "[fd00::1]:x",
            "fd00::1/home",
            "fd00::1%home.example.org",
            "fd00::1%198.51.100.7",
            "fd00:1:2:3:4:5:6:7:home",
            "fd00:test::1",
            "198.51.100.7",
        ] {
            assert_eq!(loose_ipv6(text), None, "{text}");
        }
    }

    #[test]
    fn a_local_host_is_found_in_any_form_of_address() {
        let is_local = |address: &str| hosts_in(address).iter().any(Host::is_local);
        for local in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/0.0.0.0/udp/4001/some-new-transport",
            "/ip6/::1/tcp/4001",
            "/ip6/::/tcp/4001",
            "/ip6/fe80::1/tcp/4001",
            "/ip6zone/eth0/ip6/fe80::1/tcp/4001",
            "/ip6/::ffff:127.0.0.1/tcp/4001",
            "/dns4/localhost/tcp/4001",
            "/ip4/169.254.1.1/tcp/4001",
            "/ip4/224.0.0.1/udp/1",
            "127.0.0.1:4001",
            "127.0.0.1",
            "[::1]:4001",
            "::1",
            "localhost:4001",
            "http://localhost:4001/path",
            "ws://user@127.0.0.1/",
            "/ip6/fe80::1%eth0/tcp/1",
            "[fe80::1%25eth0]:4001",
            "/IP4/127.0.0.1/tcp/1",
            "/ip4/127.000.000.001/tcp/1",
            "127.1:4001",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "/ip4/240.0.0.1/tcp/1",
            "/unix/tmp/x",
            "/memory/5",
            ":4001",
            "*:4001",
            "/dns4/printer.local/tcp/1",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "/ip4/203.0.113.20/tcp/4001",
            "203.0.113.20:4001",
            "[2001:db8::1]:4001",
            "example.org:4001",
            "https://example.org/127.0.0.1",
            "some text",
            "1.2.3.4.5",
            "203.1:4001",
            "99999999999",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
