//! Groups the addresses of clients for the limits per address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;

/// The unit of the limits per address: an IPv4 address, or the first 64 bits of an IPv6 address, since
/// a host can choose the other 64 bits freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AddressBlock {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl AddressBlock {
    /// Returns the block of the address that sent `request`; see [`AddressBlock::of`].
    pub(crate) fn of_client(request: &HttpRequest) -> Option<Self> {
        request.peer_addr().and_then(|addr| Self::of(addr.ip()))
    }

    /// Returns the block of a public address. Returns `None` for loopback, private and link-local
    /// addresses: those are most likely proxies, which serve many clients.
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        // An IPv4-mapped IPv6 address is the same client as the IPv4 address.
        match address.to_canonical() {
            IpAddr::V4(v4) => (!is_local_v4(v4)).then_some(Self::V4(v4)),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                (!is_local_v6(v6)).then_some(Self::V6([a, b, c, d]))
            }
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local()
}

fn is_local_v6(address: Ipv6Addr) -> bool {
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
        for local in [
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
            assert_eq!(block(local), None, "{local}");
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
