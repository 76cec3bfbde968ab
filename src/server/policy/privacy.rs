//! Which addresses a peer may announce.

use std::net::Ipv6Addr;
use std::str::FromStr;

use multiaddr::Protocol;

use crate::protocol::{PeerId, RegisterRequest, RequestError};
use crate::server::config::AddressPolicy;
use crate::server::model::{Profile, Registration};
use crate::server::policy::turn;

const CRYPTO_IPV6_FORM: &str = "an IPv6 address whose first group is fd00";

/// Turns a request into a registration if the policy allows all of its addresses.
///
/// # Errors
/// `privacy_violation` for an address that the policy keeps private, `invalid_field` for text that is
/// not an address, `missing_field` if there is no crypto-IPv6 although the policy needs one.
pub(crate) fn admit(
    request: RegisterRequest,
    policy: AddressPolicy,
) -> Result<Registration, RequestError> {
    let crypto_ipv6 = match policy {
        AddressPolicy::CryptoIpv6 => Some(check_crypto_only(&request)?),
        AddressPolicy::Any => {
            if let Some(text) = &request.crypto_ipv6 {
                parse_crypto_ipv6(text)?
                    .ok_or_else(|| RequestError::invalid("cryptoIPv6", CRYPTO_IPV6_FORM))?;
            }
            request.crypto_ipv6
        }
    };
    // Some nodes always send these fields, so an offer that is not used is not checked.
    let offer = request.turn.filter(|_| request.turn_capable == Some(true));
    if let Some(offer) = &offer {
        turn::check_offer(offer, policy)?;
    }
    Ok(Registration {
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
            turn: offer,
        },
    })
}

/// Parses a crypto-IPv6; `None` if it is another kind of IPv6 address.
fn parse_crypto_ipv6(text: &str) -> Result<Option<Ipv6Addr>, RequestError> {
    let address = Ipv6Addr::from_str(text)
        .map_err(|_| RequestError::invalid("cryptoIPv6", CRYPTO_IPV6_FORM))?;
    Ok(is_crypto_ipv6(&address).then_some(address))
}

fn is_crypto_ipv6(address: &Ipv6Addr) -> bool {
    address.segments()[0] == 0xfd00
}

/// Checks a request against the policy `crypto-ipv6` and returns its crypto-IPv6 in the spelling of
/// the peer.
fn check_crypto_only(request: &RegisterRequest) -> Result<String, RequestError> {
    let (text, own) = match &request.crypto_ipv6 {
        Some(text) => {
            let own = parse_crypto_ipv6(text)?
                .ok_or_else(|| RequestError::privacy("cryptoIPv6", CRYPTO_IPV6_FORM))?;
            (text.clone(), own)
        }
        None => crypto_ipv6_of_first_address(request)?,
    };
    for (index, address) in request.addresses.iter().enumerate() {
        match reveals(address, &own, &request.peer_id) {
            Ok(false) => {}
            Ok(true) => {
                let form = format!(
                    "a multiaddr that starts with /ip6/{text} and names no other host: this \
                     registry lists crypto-IPv6 addresses only"
                );
                return Err(RequestError::privacy(format!("addresses[{index}]"), &form));
            }
            Err(NotAMultiaddr) => {
                let form = format!("a multiaddr that starts with /ip6/{text}");
                return Err(RequestError::invalid(format!("addresses[{index}]"), &form));
            }
        }
    }
    Ok(text)
}

fn crypto_ipv6_of_first_address(
    request: &RegisterRequest,
) -> Result<(String, Ipv6Addr), RequestError> {
    let Some(first) = request.addresses.first() else {
        let form = format!("{CRYPTO_IPV6_FORM} (there is no address to take it from)");
        return Err(RequestError::missing("cryptoIPv6", &form));
    };
    let mut parts = first.split('/');
    if let (Some(""), Some("ip6"), Some(text)) = (parts.next(), parts.next(), parts.next())
        && let Some(own) = Ipv6Addr::from_str(text).ok().filter(is_crypto_ipv6)
    {
        return Ok((text.to_owned(), own));
    }
    let form = "a multiaddr that starts with /ip6/ and an address whose first group is fd00";
    // Any own address will do to find out whether the text is a multiaddr.
    match reveals(first, &Ipv6Addr::UNSPECIFIED, &request.peer_id) {
        Ok(_) => Err(RequestError::privacy("addresses[0]", form)),
        Err(NotAMultiaddr) => Err(RequestError::invalid("addresses[0]", form)),
    }
}

struct NotAMultiaddr;

/// Whether a multiaddr reveals more about its peer than the crypto-IPv6 `own` and a transport.
///
/// It lists the protocols that are allowed, not those that are forbidden, so that a protocol that is
/// added to multiaddr later cannot leak by default. The value of `/p2p/` may also be the peer's own
/// id: it may have a form that libp2p does not know, and is listed anyway.
fn reveals(address: &str, own: &Ipv6Addr, peer_id: &PeerId) -> Result<bool, NotAMultiaddr> {
    let mut parts = address.strip_prefix('/').ok_or(NotAMultiaddr)?.split('/');
    let mut reveals = false;
    let mut is_first = true;
    while let Some(name) = parts.next() {
        if name == "p2p" && parts.clone().next() == Some(peer_id.as_str()) {
            parts.next();
            reveals |= is_first;
        } else {
            let rest = parts.by_ref();
            let part = Protocol::from_str_parts(std::iter::once(name).chain(rest))
                .map_err(|_| NotAMultiaddr)?;
            reveals |= match part {
                Protocol::Ip6(ip) => ip != *own,
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
            };
        }
        is_first = false;
    }
    Ok(reveals)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "fd00:4f07:6435:12b1:1e30:8071:eea8:27ec";

    fn verdict(address: &str) -> Option<bool> {
        let own = OWN.parse().unwrap();
        reveals(address, &own, &PeerId::from_trusted("own-id.of_the-peer")).ok()
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
            assert_eq!(verdict(&format!("/ip6/{OWN}{tail}")), Some(false), "{tail}");
        }
        assert_eq!(
            verdict("/ip6/fd00:4f07:6435:12b1:1e30:8071:EEA8:27EC/tcp/1"),
            Some(false)
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
            assert_eq!(verdict(&address), Some(true), "{address}");
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
            "/ip6/fd00::1/tcp/notaport",
            "/ip6/fd00::1/tcp/4001/",
            "/ip6/fd00::1/tcp/4001/p2p/",
            "/ip6/fd00::1/tcp/4001/p2p/198.51.100.7",
            "/ip6/fd00::1/tcp/4001/p2p/home.example.org",
            "/ip6/fd00::1/tcp/4001/nonsense",
        ] {
            assert_eq!(verdict(address), None, "{address}");
        }
    }
}
