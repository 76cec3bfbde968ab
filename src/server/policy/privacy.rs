//! Which addresses a peer may announce.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::protocol::{
    Announced, DroppedFields, OddAddress, PeerId, RegisterRequest, RequestError,
};
use crate::server::config::{AddressPolicy, PrivateAddresses};
use crate::server::model::{Profile, Registration};
use crate::server::policy::hosts::{Host, hosts_in, is_crypto_ipv6};
use crate::server::policy::revealing::{Finding, examine, mentions_a_host};
use crate::server::policy::turn;

const ADDRESSES: &str = "addresses";
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
        odd_addresses,
        mut dropped,
    } = announced;
    let mut addresses = with_positions(std::mem::take(&mut request.addresses), &odd_addresses);
    for (_, address) in &mut addresses {
        with_canonical_ids(address);
    }
    let crypto_ipv6 = match rules.policy {
        AddressPolicy::CryptoIpv6 => {
            let text = keep_crypto_only(&request, &mut addresses, &odd_addresses, &mut dropped)?;
            Some(text)
        }
        AddressPolicy::Any => {
            keep_reachable(&mut addresses, rules.private_addresses, &mut dropped);
            request.crypto_ipv6
        }
    };
    for (index, _) in addresses.iter().skip(rules.max_addresses) {
        dropped.add_surplus(ADDRESSES, *index, rules.max_addresses);
    }
    let kept = addresses.into_iter().take(rules.max_addresses);
    if let Some(offer) = &request.turn {
        turn::check_offer(offer, rules.policy)?;
    }
    let registration = Registration {
        peer_id: request.peer_id,
        turn_capable: request.turn_capable,
        profile: Profile {
            addresses: kept.map(|(_, address)| address).collect(),
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
            authenticated: false,
        },
    };
    Ok((registration, dropped))
}

/// The addresses, each with its position in the list of the peer, from which `odd_addresses` were
/// taken out.
fn with_positions(addresses: Vec<String>, odd_addresses: &[OddAddress]) -> Vec<(usize, String)> {
    let odd: BTreeSet<usize> = odd_addresses.iter().map(|odd| odd.index).collect();
    let positions = (0..).filter(|index| !odd.contains(index));
    positions.zip(addresses).collect()
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
    addresses: &mut Vec<(usize, String)>,
    private_addresses: PrivateAddresses,
    dropped: &mut DroppedFields,
) {
    addresses.retain(|(index, address)| {
        let hosts = hosts_in(address);
        let is_private = hosts.iter().any(Host::is_private);
        let reason = if hosts.iter().any(Host::is_local) {
            "is loopback, unspecified, link-local or multicast"
        } else if is_private && private_addresses == PrivateAddresses::Drop {
            "is in a private network, and this registry lists none of these"
        } else {
            return true;
        };
        dropped.add_entry(ADDRESSES, *index, reason);
        false
    });
}

/// Holds an announcement to the policy `crypto-ipv6`. Returns its crypto-IPv6 in the spelling of the
/// peer.
fn keep_crypto_only(
    request: &RegisterRequest,
    addresses: &mut Vec<(usize, String)>,
    odd_addresses: &[OddAddress],
    dropped: &mut DroppedFields,
) -> Result<String, RequestError> {
    let (text, own) = match &request.crypto_ipv6 {
        Some(text) => {
            let own = Ipv6Addr::from_str(text)
                .map_err(|_| RequestError::invalid("cryptoIPv6", CRYPTO_IPV6_FORM))?;
            if !is_crypto_ipv6(&own) {
                return Err(RequestError::privacy("cryptoIPv6", CRYPTO_IPV6_FORM));
            }
            (text.clone(), own)
        }
        None => crypto_ipv6_of_addresses(addresses, odd_addresses, &request.peer_id)?,
    };
    let other_host = |index: usize| {
        let form = format!(
            "a multiaddr that starts with /ip6/{text} and names no other host: this registry lists \
             crypto-IPv6 addresses only"
        );
        RequestError::privacy(format!("{ADDRESSES}[{index}]"), &form)
    };
    let is_own = |ip: &Ipv6Addr| *ip == own;
    for OddAddress { index, value } in odd_addresses {
        if mentions_a_host(value, is_own, &request.peer_id) {
            return Err(other_host(*index));
        }
    }
    let mut kept = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.drain(..) {
        match examine(&address, is_own, &request.peer_id) {
            Finding::Private => kept.push((index, address)),
            Finding::Unknown => {
                let reason = "goes on with something that is no known multiaddr";
                dropped.add_entry(ADDRESSES, index, reason);
            }
            Finding::Revealing => return Err(other_host(index)),
            Finding::NoMultiaddr => {
                let form = format!("a multiaddr that starts with /ip6/{text}");
                return Err(RequestError::invalid(
                    format!("{ADDRESSES}[{index}]"),
                    &form,
                ));
            }
        }
    }
    *addresses = kept;
    Ok(text)
}

/// Takes the crypto-IPv6 from the first address that has one.
fn crypto_ipv6_of_addresses(
    addresses: &[(usize, String)],
    odd_addresses: &[OddAddress],
    peer_id: &PeerId,
) -> Result<(String, Ipv6Addr), RequestError> {
    const FORM: &str =
        "a multiaddr that starts with /ip6/ and an address whose first group is fd00";
    let found = addresses.iter().find_map(|(_, address)| {
        let text = address.strip_prefix("/ip6/")?.split('/').next()?;
        let own = Ipv6Addr::from_str(text).ok().filter(is_crypto_ipv6)?;
        Some((text.to_owned(), own))
    });
    if let Some(found) = found {
        return Ok(found);
    }
    let field = |index: &usize| format!("{ADDRESSES}[{index}]");
    for OddAddress { index, value } in odd_addresses {
        if mentions_a_host(value, is_crypto_ipv6, peer_id) {
            return Err(RequestError::privacy(field(index), FORM));
        }
    }
    let Some((index, first)) = addresses.first() else {
        let form = format!("{CRYPTO_IPV6_FORM} (there is no address to take it from)");
        return Err(RequestError::missing("cryptoIPv6", &form));
    };
    Err(match examine(first, is_crypto_ipv6, peer_id) {
        Finding::NoMultiaddr => RequestError::invalid(field(index), FORM),
        _ => RequestError::privacy(field(index), FORM),
    })
}

#[cfg(test)]
mod tests;
