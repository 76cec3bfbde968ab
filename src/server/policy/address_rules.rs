//! The operator's rules about addresses.

use crate::server::config::{AddressPolicy, PrivateAddresses};
use crate::server::policy::hosts::Host;

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

impl AddressRules {
    /// Why an address with these hosts is not listed under the policy `any`, if it is not: it leads to
    /// no other machine. Whoever dials it reaches itself or a stranger in its own network, whose operator
    /// takes it for a scan.
    pub(crate) fn why_unreachable(&self, hosts: &[Host]) -> Option<&'static str> {
        let drops_private = self.private_addresses == PrivateAddresses::Drop;
        if hosts.iter().any(Host::is_local) {
            Some("is loopback, unspecified, link-local or multicast")
        } else if drops_private && hosts.iter().any(Host::is_private) {
            Some("is in a private network, and this registry lists none of these")
        } else {
            None
        }
    }
}
