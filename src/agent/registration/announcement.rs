//! What a node announces.

use serde_json::Value;

use crate::agent::identity::Identity;
use crate::protocol::{PeerId, RegisterRequest, TurnOffer};

/// What a node announces to every registry. By default it does not reveal where the node is.
///
/// Made from an [`Identity`], it lists the node's crypto-IPv6 address only. If a registry refuses
/// it, [`Event::Refused`](crate::agent::Event::Refused) gives the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    request: RegisterRequest,
}

impl Registration {
    /// Announces that the node can be reached by TCP at its crypto-IPv6 address on `port`.
    pub fn new(identity: &Identity, port: u16) -> Self {
        Self::of(identity).listen(identity, &format!("/tcp/{port}"))
    }

    /// Announces a node with its crypto-IPv6 but without an address, for [`listen`](Self::listen),
    /// [`quic`](Self::quic) and [`websocket`](Self::websocket) to add some.
    pub fn of(identity: &Identity) -> Self {
        let mut registration = Self::of_id(identity.peer_id().clone());
        registration.request.crypto_ipv6 = Some(identity.crypto_ipv6_text());
        registration
    }

    /// Announces a node by its id alone, whatever key or scheme the id comes from.
    pub fn of_id(peer_id: PeerId) -> Self {
        Self {
            request: RegisterRequest {
                peer_id,
                ..RegisterRequest::default()
            },
        }
    }

    /// Announces that the node can be reached by this transport at its crypto-IPv6 address, e.g.
    /// `/udp/4001/quic-v1/webtransport`. `identity` must be the node's own.
    #[must_use]
    pub fn listen(mut self, identity: &Identity, transport: &str) -> Self {
        self.request
            .addresses
            .push(identity.address_with(transport));
        self
    }

    /// Announces that the node can be reached by QUIC at its crypto-IPv6 address on the UDP port
    /// `port`.
    #[must_use]
    pub fn quic(self, identity: &Identity, port: u16) -> Self {
        self.listen(identity, &format!("/udp/{port}/quic-v1"))
    }

    /// Announces that the node can be reached by WebSocket at its crypto-IPv6 address on `port`.
    #[must_use]
    pub fn websocket(self, identity: &Identity, port: u16) -> Self {
        self.listen(identity, &format!("/tcp/{port}/ws"))
    }

    /// Announces the crypto-IPv6 of a node that is announced by its id alone.
    #[must_use]
    pub fn crypto_ipv6(mut self, address: impl Into<String>) -> Self {
        self.request.crypto_ipv6 = Some(address.into());
        self
    }

    /// Lists a further address, e.g. `/ip4/203.0.113.7/tcp/4001`. **It tells everyone where the
    /// node is.** A registry with the address policy `crypto-ipv6` refuses it.
    #[must_use]
    pub fn reveal_address(mut self, address: impl Into<String>) -> Self {
        self.request.addresses.push(address.into());
        self
    }

    /// Announces the ids of the data stores that the node serves.
    #[must_use]
    pub fn stores(mut self, stores: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.request.stores = stores.into_iter().map(Into::into).collect();
        self
    }

    /// Announces the protocol version that the node speaks.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.request.version = Some(version.into());
        self
    }

    /// Announces the version of the node's software.
    #[must_use]
    pub fn software_version(mut self, version: impl Into<String>) -> Self {
        self.request.software_version = Some(version.into());
        self
    }

    /// Announces the network that the node belongs to, e.g. `mainnet`. The agent then looks for
    /// peers in this network only.
    #[must_use]
    pub fn network_id(mut self, network_id: impl Into<String>) -> Self {
        self.request.network_id = Some(network_id.into());
        self
    }

    /// Announces whether the node asks for privacy.
    #[must_use]
    pub fn privacy_mode(mut self, privacy_mode: bool) -> Self {
        self.request.privacy_mode = privacy_mode;
        self
    }

    /// Announces whether the node helps others to bootstrap.
    #[must_use]
    pub fn bootstrap_capable(mut self, bootstrap_capable: bool) -> Self {
        self.request.bootstrap_capable = bootstrap_capable;
        self
    }

    /// Announces capabilities as a JSON object, opaque to the registry.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Value) -> Self {
        self.request.capabilities = Some(capabilities);
        self
    }

    /// Announces the port that the node serves on, beside its addresses.
    #[must_use]
    pub fn server_port(mut self, port: u16) -> Self {
        self.request.server_port = Some(port);
        self
    }

    /// Announces the node's type as Chia's protocol numbers it.
    #[must_use]
    pub fn node_type(mut self, node_type: u16) -> Self {
        self.request.node_type = Some(node_type);
        self
    }

    /// Announces capabilities as pairs of a number and a name.
    #[must_use]
    pub fn capability_list<N: Into<String>>(
        mut self,
        list: impl IntoIterator<Item = (u64, N)>,
    ) -> Self {
        let pair = |(number, name): (u64, N)| {
            let name: String = name.into();
            Value::from(vec![Value::from(number), Value::from(name)])
        };
        self.request.capability_list = Some(list.into_iter().map(pair).collect());
        self
    }

    /// Withdraws an earlier offer to relay. A registration that does not mention relaying keeps it.
    #[must_use]
    pub fn without_turn(mut self) -> Self {
        self.request.turn_capable = Some(false);
        self.request.turn = None;
        self
    }

    /// Offers to relay. The addresses of the offer are public.
    #[must_use]
    pub fn turn(mut self, offer: TurnOffer) -> Self {
        self.request.turn_capable = Some(true);
        self.request.turn = Some(offer);
        self
    }
}

impl From<Registration> for RegisterRequest {
    fn from(registration: Registration) -> Self {
        registration.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Announced, Limits, RequestBody};

    #[test]
    fn by_default_only_the_crypto_ipv6_address_is_listed() {
        let identity = Identity::generate();
        let request = RegisterRequest::from(Registration::new(&identity, 4001));
        assert_eq!(request.addresses, [identity.address(4001)]);
        assert_eq!(request.crypto_ipv6, Some(identity.crypto_ipv6_text()));

        let json = serde_json::to_vec(&request).unwrap();
        let parsed = Announced::<RegisterRequest>::parse(&json, &Limits::default()).unwrap();
        assert_eq!(parsed.request, request);
        assert_eq!(parsed.dropped.into_list(), None);
    }

    #[test]
    fn a_revealed_address_is_listed_after_it() {
        let identity = Identity::generate();
        let registration = Registration::new(&identity, 4001)
            .reveal_address("/ip4/203.0.113.7/tcp/4001")
            .turn(TurnOffer {
                addresses: vec!["relay.example.org".to_owned()],
                port: 3478,
                capacity: 10,
            });
        let request = RegisterRequest::from(registration);
        assert_eq!(request.addresses[1], "/ip4/203.0.113.7/tcp/4001");
        assert_eq!(request.turn_capable, Some(true));
    }

    #[test]
    fn quic_and_websocket_addresses_and_all_other_fields_are_announced() {
        let identity = Identity::generate();
        let registration = Registration::of(&identity)
            .quic(&identity, 4001)
            .websocket(&identity, 4002)
            .server_port(8444)
            .node_type(1)
            .capability_list([(1, "base"), (2, "blocks")]);
        let request = RegisterRequest::from(registration);
        let (own, id) = (identity.crypto_ipv6_text(), identity.peer_id());
        let addresses = [
            format!("/ip6/{own}/udp/4001/quic-v1/p2p/{id}"),
            format!("/ip6/{own}/tcp/4002/ws/p2p/{id}"),
        ];
        assert_eq!(request.addresses, addresses);
        let json = serde_json::to_value(&request).unwrap();
        assert_eq!(
            (&json["serverPort"], &json["nodeType"]),
            (&8444.into(), &1.into())
        );
        let list = serde_json::json!([[1, "base"], [2, "blocks"]]);
        assert_eq!(json["capabilityList"], list);
    }
}
