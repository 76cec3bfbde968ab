//! The settings of what the node announces.

use anyhow::anyhow;
use clap::Args;
use peer_registry::agent::Registration;
use peer_registry::protocol::{RegisterRequest, TurnOffer};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::node::Node;
use crate::settings::{Faults, entries, given};

/// What the node announces.
#[derive(Args, Debug)]
pub(crate) struct AnnounceSettings {
    /// TCP port that the node listens on, announced with its crypto-IPv6 address. Without this port
    /// and the two below, only the addresses of --address are announced
    #[arg(long, env = "PEER_AGENT_PORT", value_name = "PORT")]
    pub(crate) port: Option<String>,

    /// UDP port on which the node listens for QUIC, announced with its crypto-IPv6 address
    #[arg(long, env = "PEER_AGENT_QUIC_PORT", value_name = "PORT")]
    quic_port: Option<String>,

    /// Port on which the node listens for WebSocket, announced with its crypto-IPv6 address
    #[arg(long, env = "PEER_AGENT_WEBSOCKET_PORT", value_name = "PORT")]
    websocket_port: Option<String>,

    /// Address to list, e.g. /ip4/203.0.113.7/tcp/4001; may be repeated; --address is the same. It tells everyone where the
    /// node is, and registries with the default address policy refuse it. Without a port, only these
    /// addresses are listed
    #[arg(
        long,
        alias = "address",
        env = "PEER_AGENT_REVEAL_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    reveal_address: Vec<String>,

    /// Network that the node belongs to, e.g. mainnet
    #[arg(long, env = "PEER_AGENT_NETWORK_ID", value_name = "ID")]
    network_id: Option<String>,

    /// Version of the protocol that the node speaks
    #[arg(long, env = "PEER_AGENT_PROTOCOL_VERSION", value_name = "VERSION")]
    protocol_version: Option<String>,

    /// Version of the node's software
    #[arg(long, env = "PEER_AGENT_SOFTWARE_VERSION", value_name = "VERSION")]
    software_version: Option<String>,

    /// Id of a data store that the node serves; may be repeated
    #[arg(
        long,
        env = "PEER_AGENT_STORE",
        value_name = "ID",
        value_delimiter = ','
    )]
    store: Vec<String>,

    /// Capabilities, a JSON object that registries pass on unchanged
    #[arg(long, env = "PEER_AGENT_CAPABILITIES", value_name = "JSON")]
    capabilities: Option<String>,

    /// Port that the node serves on (serverPort), beside its addresses
    #[arg(long, env = "PEER_AGENT_SERVER_PORT", value_name = "PORT")]
    server_port: Option<String>,

    /// Type of the node as Chia's protocol numbers it (nodeType)
    #[arg(long, env = "PEER_AGENT_NODE_TYPE", value_name = "NUMBER")]
    node_type: Option<String>,

    /// Capabilities as pairs of a number and a name, e.g. [[1,"base"]] (capabilityList)
    #[arg(long, env = "PEER_AGENT_CAPABILITY_LIST", value_name = "JSON")]
    capability_list: Option<String>,

    /// Say that the node asks for privacy: true or false
    #[arg(long, env = "PEER_AGENT_PRIVACY_MODE", value_name = "FLAG", num_args = 0..=1,
          default_missing_value = "true")]
    privacy_mode: Option<String>,

    /// Say that the node helps others to bootstrap: true or false
    #[arg(long, env = "PEER_AGENT_BOOTSTRAP_CAPABLE", value_name = "FLAG", num_args = 0..=1,
          default_missing_value = "true")]
    bootstrap_capable: Option<String>,

    #[command(flatten)]
    turn: TurnSettings,
}

/// What the node offers as a TURN server.
#[derive(Args, Debug)]
pub(crate) struct TurnSettings {
    /// Public host or address of the node's TURN server; may be repeated
    #[arg(
        long,
        env = "PEER_AGENT_TURN_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    turn_address: Vec<String>,

    /// Port of the node's TURN server
    #[arg(long, env = "PEER_AGENT_TURN_PORT", value_name = "PORT")]
    turn_port: Option<String>,

    /// Max number of sessions of the TURN server at the same time
    #[arg(
        long,
        env = "PEER_AGENT_TURN_CAPACITY",
        value_name = "COUNT",
        default_value = "10"
    )]
    turn_capacity: String,
}

/// What the node announces, without its identity.
pub(crate) struct Announcement<'s> {
    settings: &'s AnnounceSettings,
    network_id: Option<String>,
    port: Option<u16>,
    quic_port: Option<u16>,
    websocket_port: Option<u16>,
    capabilities: Option<Map<String, Value>>,
    server_port: Option<u16>,
    node_type: Option<u16>,
    capability_list: Option<Vec<(u64, String)>>,
    privacy_mode: bool,
    bootstrap_capable: bool,
    turn: Option<TurnOffer>,
}

impl AnnounceSettings {
    /// Whether the settings say how the node can be reached.
    pub(crate) fn has_address(&self) -> bool {
        let ports = [&self.port, &self.quic_port, &self.websocket_port];
        let has_port = ports.into_iter().any(|port| given(port).is_some());
        has_port || !entries(&self.reveal_address).is_empty()
    }

    pub(crate) fn read(&self, faults: &mut Faults) -> Announcement<'_> {
        let mut port = |name, text| given(text).map(|port| faults.number(name, port, 1..=65_535));
        let tcp = port("PEER_AGENT_PORT", &self.port);
        let quic_port = port("PEER_AGENT_QUIC_PORT", &self.quic_port);
        let websocket_port = port("PEER_AGENT_WEBSOCKET_PORT", &self.websocket_port);
        let server_port = port("PEER_AGENT_SERVER_PORT", &self.server_port);
        if !self.has_address() {
            faults.add(anyhow!(
                "no port is given: --port PORT or PEER_AGENT_PORT, the one that the node listens on \
                 (or --quic-port, --websocket-port), or its whole address with --address ADDRESS"
            ));
        }
        let network_id = given(&self.network_id).filter(|text| !text.trim().is_empty());
        let network_id = network_id.and_then(|text| faults.network_id(text));
        let node_type = given(&self.node_type)
            .map(|text| faults.number("PEER_AGENT_NODE_TYPE", text, 0..=65_535));
        let capabilities = given(&self.capabilities);
        let name = "PEER_AGENT_CAPABILITIES";
        let capabilities = capabilities.and_then(|text| faults.json(name, text, "a JSON object"));
        let name = "PEER_AGENT_CAPABILITY_LIST";
        let form = "a JSON array of pairs like [1,\"base\"]";
        let capability_list =
            given(&self.capability_list).and_then(|text| faults.json(name, text, form));
        let mut flag = |name, text: &Option<String>| {
            let flag = faults.parse(name, given(text), "true or false");
            flag.unwrap_or(false)
        };
        Announcement {
            settings: self,
            network_id,
            port: tcp,
            quic_port,
            websocket_port,
            server_port,
            node_type,
            capability_list,
            privacy_mode: flag("PEER_AGENT_PRIVACY_MODE", &self.privacy_mode),
            bootstrap_capable: flag("PEER_AGENT_BOOTSTRAP_CAPABLE", &self.bootstrap_capable),
            capabilities,
            turn: self.turn.read(faults),
        }
    }
}

impl TurnSettings {
    /// The offer; a fault if there is none.
    pub(crate) fn require(&self, faults: &mut Faults) -> Option<TurnOffer> {
        if entries(&self.turn_address).is_empty() && given(&self.turn_port).is_none() {
            faults.add(anyhow!(
                "no TURN server is given: --turn-address ADDRESS and --turn-port PORT"
            ));
        }
        self.read(faults)
    }

    /// The offer; `None` if neither an address nor a port is given.
    fn read(&self, faults: &mut Faults) -> Option<TurnOffer> {
        let port = given(&self.turn_port)
            .map(|port| faults.number("PEER_AGENT_TURN_PORT", port, 1..=65_535));
        let capacity = &self.turn_capacity;
        let capacity = faults.number("PEER_AGENT_TURN_CAPACITY", capacity, 1..=u32::MAX.into());
        let addresses = entries(&self.turn_address);
        match (addresses.is_empty(), port) {
            (true, None) => None,
            (false, Some(port)) => Some(TurnOffer {
                addresses,
                port,
                capacity,
            }),
            _ => {
                faults.add(anyhow!(
                    "a TURN server takes both an address (--turn-address) and a port (--turn-port)"
                ));
                None
            }
        }
    }
}

impl Announcement<'_> {
    /// The registration of this node. Fails if a port is given for a node whose crypto-IPv6 is not
    /// known.
    pub(crate) fn registration(&self, node: &Node) -> Result<RegisterRequest, Failure> {
        let settings = self.settings;
        let mut registration = self
            .listening(node)?
            .stores(entries(&settings.store))
            .privacy_mode(self.privacy_mode)
            .bootstrap_capable(self.bootstrap_capable);
        for address in entries(&settings.reveal_address) {
            registration = registration.reveal_address(address);
        }
        if let Some(network_id) = &self.network_id {
            registration = registration.network_id(network_id);
        }
        if let Some(version) = given(&settings.protocol_version) {
            registration = registration.version(version);
        }
        if let Some(version) = given(&settings.software_version) {
            registration = registration.software_version(version);
        }
        if let Some(capabilities) = &self.capabilities {
            registration = registration.capabilities(capabilities.clone().into());
        }
        if let Some(port) = self.server_port {
            registration = registration.server_port(port);
        }
        if let Some(node_type) = self.node_type {
            registration = registration.node_type(node_type);
        }
        if let Some(list) = &self.capability_list {
            registration = registration.capability_list(list.clone());
        }
        // The settings are complete: an offer that is not in them is withdrawn.
        Ok(match &self.turn {
            Some(offer) => registration.turn(offer.clone()),
            None => registration.without_turn(),
        }
        .into())
    }

    /// The registration with the addresses of the ports.
    fn listening(&self, node: &Node) -> Result<Registration, Failure> {
        let has_port = [self.port, self.quic_port, self.websocket_port]
            .iter()
            .any(Option::is_some);
        let identity = match node {
            Node::Keyed(identity) => identity,
            Node::Named(peer_id) if has_port => {
                return Err(Failure::usage(anyhow!(
                    "the id {peer_id} does not contain its public key, so its crypto-IPv6 is not known: \
                     announce whole addresses (--address) instead of a port, or name the key file \
                     (--key-file)"
                )));
            }
            Node::Named(peer_id) => return Ok(Registration::of_id(peer_id.clone())),
        };
        let mut registration = Registration::of(identity);
        if let Some(port) = self.port {
            registration = registration.listen(identity, &format!("/tcp/{port}"));
        }
        if let Some(port) = self.quic_port {
            registration = registration.quic(identity, port);
        }
        if let Some(port) = self.websocket_port {
            registration = registration.websocket(identity, port);
        }
        Ok(registration)
    }
}
