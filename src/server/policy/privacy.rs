//! Which addresses a peer may announce.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use crate::protocol::{
    Announced, DroppedFields, OddAddress, PeerId, RegisterRequest, RequestError,
};
use crate::server::config::AddressPolicy;
use crate::server::model::{Profile, Registration};
use crate::server::policy::address_rules::AddressRules;
use crate::server::policy::hosts::{hosts_in, is_crypto_ipv6, loose_ipv6};
use crate::server::policy::revealing::{Finding, examine, mentions_a_host};
use crate::server::policy::turn;

const ADDRESSES: &str = "addresses";
const CRYPTO_IPV6: &str = "cryptoIPv6";
const CRYPTO_IPV6_FORM: &str = "an IPv6 address whose first group is fd00";

/// Turns an announcement into a registration, without the addresses that no other peer could use.
/// Returns what was dropped, too.
///
/// # Errors
/// `privacy_violation` for an address that the policy keeps private, `invalid_field` or `missing_field`
/// if there is no crypto-IPv6 although the policy needs one, `invalid_field` for a TURN address of
/// another form.
pub(crate) fn admit(
    announced: Announced<RegisterRequest>,
    rules: AddressRules,
) -> Result<(Registration, DroppedFields), RequestError> {
    let Announced {
        mut request,
        odd_addresses,
        odd_crypto_ipv6,
        turn_positions,
        mut dropped,
    } = announced;
    let mut addresses = with_positions(std::mem::take(&mut request.addresses), &odd_addresses);
    for (_, address) in &mut addresses {
        with_canonical_ids(address);
    }
    let crypto_ipv6 = match rules.policy {
        AddressPolicy::CryptoIpv6 => {
            if let Some(error) = odd_crypto_ipv6 {
                return Err(error);
            }
            let text = keep_crypto_only(&request, &mut addresses, &odd_addresses, &mut dropped)?;
            Some(text)
        }
        AddressPolicy::Any => {
            addresses.retain(
                |(index, address)| match rules.why_unreachable(&hosts_in(address)) {
                    Some(reason) => {
                        dropped.add_entry(ADDRESSES, *index, reason);
                        false
                    }
                    None => true,
                },
            );
            if let Some(error) = odd_crypto_ipv6 {
                dropped.add(CRYPTO_IPV6, error.message);
            }
            // Other texts stay as they are: this policy does not say what they mean.
            let text = request.crypto_ipv6;
            text.map(|text| loose_ipv6(&text).map_or(text.clone(), |(bare, _)| bare.to_owned()))
        }
    };
    for (index, _) in addresses.iter().skip(rules.max_addresses) {
        dropped.add_surplus(ADDRESSES, *index, rules.max_addresses);
    }
    let kept = addresses.into_iter().take(rules.max_addresses);
    let turn = match request.turn {
        Some(offer) => turn::admit_offer(offer, &turn_positions, rules, &mut dropped)?,
        None => None,
    };
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
            turn,
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
            let (bare, own) = loose_ipv6(text)
                .ok_or_else(|| RequestError::invalid(CRYPTO_IPV6, CRYPTO_IPV6_FORM))?;
            if !is_crypto_ipv6(&own) {
                return Err(RequestError::privacy(CRYPTO_IPV6, CRYPTO_IPV6_FORM));
            }
            (bare.to_owned(), own)
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
        let reason = match examine(&address, is_own, &request.peer_id) {
            Finding::Private => {
                kept.push((index, address));
                continue;
            }
            Finding::Revealing => return Err(other_host(index)),
            Finding::Useless => {
                "does not lead from the crypto-IPv6 to the peer by transports alone"
            }
            Finding::Unknown => "goes on with something that is no known multiaddr",
            Finding::NoMultiaddr => "is no multiaddr",
        };
        dropped.add_entry(ADDRESSES, index, reason);
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
    let own_of = |address: &str| {
        let text = address.trim().strip_prefix("/ip6/")?.split('/').next()?;
        let (bare, own) = loose_ipv6(text).filter(|(_, ip)| is_crypto_ipv6(ip))?;
        Some((bare.to_owned(), own))
    };
    let clean = addresses.iter().find_map(|(_, address)| own_of(address));
    // One that is dropped, e.g. for its length, still says which crypto-IPv6 is the peer's.
    let odd = || {
        let mut texts = odd_addresses.iter().filter_map(|odd| odd.value.as_str());
        texts.find_map(own_of)
    };
    if let Some(found) = clean.or_else(odd) {
        return Ok(found);
    }
    let field = |index: &usize| format!("{ADDRESSES}[{index}]");
    let mut first_fault = None;
    for (index, address) in addresses {
        match examine(address, is_crypto_ipv6, peer_id) {
            Finding::Revealing => return Err(RequestError::privacy(field(index), FORM)),
            _ => first_fault = first_fault.or(Some(index)),
        }
    }
    for OddAddress { index, value } in odd_addresses {
        if mentions_a_host(value, is_crypto_ipv6, peer_id) {
            return Err(RequestError::privacy(field(index), FORM));
        }
    }
    Err(match first_fault {
        Some(index) => RequestError::invalid(field(index), FORM),
        None => {
            let form = format!("{CRYPTO_IPV6_FORM} (there is no address to take it from)");
            RequestError::missing(CRYPTO_IPV6, &form)
        }
    })
}

#[cfg(test)]
mod tests;
