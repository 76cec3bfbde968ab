//! Which TURN servers may be announced, and what a new registration does to an earlier offer.

use crate::protocol::{DroppedFields, RequestError, TurnOffer};
use crate::server::config::AddressPolicy;
use crate::server::model::Profile;
use crate::server::policy::address_rules::AddressRules;
use crate::server::policy::hosts::{Host, hosts_of};

const ADDRESSES: &str = "turnAddresses";

/// Leaves those addresses of an offer to relay that other peers can reach. Returns `None` if there are
/// none. `positions` are those of the addresses in the list of the peer.
///
/// # Errors
/// `invalid_field` for an address that is neither host nor multiaddr and, unless the policy is
/// `any`, for a loopback, unspecified, link-local or multicast one.
pub(crate) fn admit_offer(
    mut offer: TurnOffer,
    positions: &[usize],
    rules: AddressRules,
    dropped: &mut DroppedFields,
) -> Result<Option<TurnOffer>, RequestError> {
    let mut kept = Vec::with_capacity(offer.addresses.len());
    for (index, address) in offer.addresses.into_iter().enumerate() {
        let index = positions.get(index).copied().unwrap_or(index);
        let field = || format!("{ADDRESSES}[{index}]");
        let hosts = hosts_of(&address).ok_or_else(|| {
            RequestError::invalid(
                field(),
                "a host name, an IP address or a multiaddr, e.g. turn.example.org, 203.0.113.20 or \
                 /ip4/203.0.113.20/udp/3478 (not a URI, without a port, and without underscores)",
            )
        })?;
        match rules.policy {
            AddressPolicy::CryptoIpv6 if hosts.iter().any(Host::is_local) => {
                return Err(RequestError::invalid(
                    field(),
                    "reachable by others: not loopback, unspecified, link-local or multicast",
                ));
            }
            AddressPolicy::Any => match rules.why_unreachable(&hosts) {
                Some(reason) => dropped.add_entry(ADDRESSES, index, reason),
                None => kept.push(address),
            },
            AddressPolicy::CryptoIpv6 => kept.push(address),
        }
    }
    offer.addresses = kept;
    Ok((!offer.addresses.is_empty()).then_some(offer))
}

/// As [`admit_offer`], for a request that is about the offer alone.
///
/// # Errors
/// Also `invalid_field` if no address is left.
pub(crate) fn require_offer(
    offer: TurnOffer,
    positions: &[usize],
    rules: AddressRules,
    dropped: &mut DroppedFields,
) -> Result<TurnOffer, RequestError> {
    admit_offer(offer, positions, rules, dropped)?.ok_or_else(|| {
        let form = "reachable by others: at least one that is not loopback, unspecified, link-local or \
                    multicast, nor in a private network unless this registry lists those";
        RequestError::invalid(ADDRESSES, form)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::PrivateAddresses;

    fn check(address: &str, policy: AddressPolicy) -> Result<Option<TurnOffer>, RequestError> {
        let offer = TurnOffer {
            addresses: vec![address.to_owned()],
            port: 3478,
            capacity: 10,
        };
        let rules = AddressRules {
            policy,
            private_addresses: PrivateAddresses::Drop,
            max_addresses: 16,
        };
        admit_offer(offer, &[0], rules, &mut DroppedFields::default())
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
                check(address, AddressPolicy::CryptoIpv6).is_ok_and(|offer| offer.is_some()),
                "{address}"
            );
        }
    }

    #[test]
    fn hosts_that_others_cannot_reach_are_refused_or_dropped_by_policy() {
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
            assert_eq!(check(address, AddressPolicy::Any), Ok(None), "{address}");
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
