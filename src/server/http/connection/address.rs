//! Which connections count as coming from the same place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as far as the cap per address is concerned: an IPv4 address, or an IPv6 network of
/// 64 bits, since a host may choose the other 64 as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressBlock {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl AddressBlock {
    /// The block of a public address. `None` for loopback, private and link-local ones: behind
    /// those is most likely a proxy, which speaks for many.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(v4) => (!is_near_v4(v4)).then_some(Self::V4(v4)),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                (!is_near_v6(v6)).then_some(Self::V6([a, b, c, d]))
            }
        }
    }
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

fn is_near_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: &str) -> Option<AddressBlock> {
        AddressBlock::of(address.parse().unwrap())
    }

    #[test]
    fn loopback_and_private_addresses_have_no_block() {
        for near in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.7.7",
            "169.254.1.1",
            "::1",
            "fc00::1",
            "fdab::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(block(near), None, "{near}");
        }
        for public in [
            "172.32.0.1",
            "11.0.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(block(public).is_some(), "{public}");
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_block_and_a_mapped_ipv4_address_is_ipv4() {
        assert_eq!(block("2001:db8:1:2::1"), block("2001:db8:1:2:ffff::9"));
        assert_ne!(block("2001:db8:1:2::1"), block("2001:db8:1:3::1"));
        assert_eq!(block("::ffff:8.8.8.8"), block("8.8.8.8"));
        assert_ne!(block("8.8.8.8"), block("8.8.4.4"));
    }
}
