//! Notices that the machine has changed networks.

use std::net::{IpAddr, UdpSocket};

/// Addresses that no machine has (RFC 5737, RFC 3849). Nothing is sent there.
const ELSEWHERE: [&str; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"];

/// The machine's own addresses towards the rest of the world, one for IPv4 and one for IPv6. They
/// change when the machine joins another network, or gets a network at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    sources: [Option<IpAddr>; 2],
}

impl Network {
    /// Asks the system's routing table. This sends nothing and does not block.
    pub(crate) fn now() -> Self {
        Self {
            sources: ELSEWHERE.map(source_towards),
        }
    }
}

/// The address from which the machine would send to `target`; `None` without a route.
fn source_towards(target: &str) -> Option<IpAddr> {
    let any = if target.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any).ok()?;
    // For UDP this only chooses the route and the address.
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stays_in_its_network_sees_no_change() {
        assert_eq!(Network::now(), Network::now());
    }
}
