//! Settings that several subcommands share, and the check of all of them at once.

use std::fmt::Display;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use peer_registry::agent::{Identity, IdentityError, Registration, RegistryClient, Transport};
use peer_registry::protocol::{RegisterRequest, TurnOffer};

use crate::failure::Failure;

/// What is wrong with the settings, to be told all at once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<anyhow::Error>);

impl Faults {
    pub(crate) fn add(&mut self, fault: impl Into<anyhow::Error>) {
        self.0.push(fault.into());
    }

    /// A whole number in `range`.
    pub(crate) fn number<N: TryFrom<u64> + Default>(
        &mut self,
        name: &str,
        text: &str,
        range: RangeInclusive<u64>,
    ) -> N {
        let number = text.parse().ok().filter(|number| range.contains(number));
        if let Some(number) = number.and_then(|number| N::try_from(number).ok()) {
            return number;
        }
        let (least, most) = (range.start(), range.end());
        self.add(anyhow!(
            "{name} must be a whole number from {least} to {most}, not {text:?}"
        ));
        N::default()
    }

    /// A value that may be left out.
    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
        text: Option<&String>,
        form: &str,
    ) -> Option<T> {
        let text = text?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(anyhow!("{name} must be {form}, not {text:?} ({error})"));
                None
            }
        }
    }

    /// Ends the check, well or with all that was found.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.into())
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::faults(faults.0)
    }
}

/// Which registries, and how long to wait for them.
#[derive(Args, Debug)]
pub(crate) struct RegistrySettings {
    /// Address of a registry; several are separated by commas, or given one by one
    #[arg(
        long,
        env = "PEER_REGISTRY_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true // a password may stand in it
    )]
    registry: Vec<String>,

    /// How long an answer is waited for
    #[arg(
        long,
        env = "PEER_AGENT_REQUEST_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "10"
    )]
    request_timeout_secs: String,
}

/// The registries to talk to, each once, and at least one.
pub(crate) struct Registries {
    pub(crate) urls: Vec<String>,
    pub(crate) clients: Vec<RegistryClient>,
    pub(crate) transport: Transport,
}

impl RegistrySettings {
    pub(crate) fn read(&self, faults: &mut Faults) -> Result<Registries, Failure> {
        let name = "PEER_AGENT_REQUEST_TIMEOUT_SECS";
        let timeout_secs = faults.number(name, &self.request_timeout_secs, 1..=600);
        let timeout = Duration::from_secs(timeout_secs);
        let transport = Transport::new()
            .map_err(Failure::usage)?
            .with_timeout(timeout);
        let urls = entries(&self.registry);
        if urls.is_empty() {
            faults.add(anyhow!(
                "no registry is given: --registry URL or PEER_REGISTRY_URL, e.g. \
                 https://registry.example.org"
            ));
        }
        let mut clients: Vec<RegistryClient> = Vec::new();
        for url in &urls {
            match RegistryClient::new(url, transport.clone()) {
                Ok(client) if clients.iter().any(|known| known.url() == client.url()) => {}
                Ok(client) => clients.push(client),
                Err(error) => faults.add(anyhow::Error::from(error).context("PEER_REGISTRY_URL")),
            }
        }
        Ok(Registries {
            urls,
            clients,
            transport,
        })
    }
}

/// Where the node's identity is.
#[derive(Args, Debug)]
pub(crate) struct KeySettings {
    /// File with the node's Ed25519 key, in libp2p's protobuf encoding
    #[arg(
        long,
        env = "PEER_AGENT_KEY_FILE",
        value_name = "FILE",
        default_value = "node.key"
    )]
    pub(crate) key_file: PathBuf,
}

impl KeySettings {
    /// The identity; none if there is no such file.
    pub(crate) fn find(&self) -> Result<Option<Identity>, IdentityError> {
        match Identity::load(&self.key_file) {
            Err(IdentityError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// Ends the check of the settings with the identity, which must be there.
    pub(crate) fn require(&self, mut faults: Faults) -> Result<Identity, Failure> {
        match self.find() {
            Ok(Some(identity)) => return faults.finish().map(|()| identity),
            Ok(None) => faults.add(anyhow!(
                "there is no key file {}: peer-agent id makes one, --key-file names another",
                self.key_file.display()
            )),
            Err(error) => faults.add(error),
        }
        Err(faults.into())
    }

    /// Ends the check of the settings with the identity, which is made if it is not there and
    /// nothing else is wrong.
    pub(crate) fn require_or_make(&self, mut faults: Faults) -> Result<Identity, Failure> {
        if let Err(error) = self.find() {
            faults.add(error);
        }
        faults.finish()?;
        Identity::load_or_create(&self.key_file).map_err(Failure::usage)
    }
}

/// What the node announces.
#[derive(Args, Debug)]
pub(crate) struct AnnounceSettings {
    /// Port that the node listens on, announced with its crypto-IPv6 address
    #[arg(long, env = "PEER_AGENT_PORT", value_name = "PORT")]
    pub(crate) port: Option<String>,

    /// Further address to list, e.g. /ip4/203.0.113.7/tcp/4001. It tells everyone where the node
    /// is, and registries with the default address policy refuse it
    #[arg(
        long,
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

    /// Capabilities, a JSON object that registries pass on unread
    #[arg(long, env = "PEER_AGENT_CAPABILITIES", value_name = "JSON")]
    capabilities: Option<String>,

    /// Say that the node asks for its privacy: true or false
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

    /// Sessions that the TURN server takes at a time
    #[arg(
        long,
        env = "PEER_AGENT_TURN_CAPACITY",
        value_name = "COUNT",
        default_value = "10"
    )]
    turn_capacity: String,
}

/// What the node announces, but for its identity.
pub(crate) struct Announcement<'s> {
    settings: &'s AnnounceSettings,
    port: u16,
    capabilities: Option<serde_json::Value>,
    privacy_mode: bool,
    bootstrap_capable: bool,
    turn: Option<TurnOffer>,
}

impl AnnounceSettings {
    pub(crate) fn read(&self, faults: &mut Faults) -> Announcement<'_> {
        let port = match given(&self.port) {
            Some(port) => faults.number("PEER_AGENT_PORT", port, 1..=65_535),
            None => {
                faults.add(anyhow!(
                    "no port is given: --port PORT or PEER_AGENT_PORT, the one that the node \
                     listens on"
                ));
                0
            }
        };
        let capabilities = given(&self.capabilities);
        let mut flag = |name, text: &Option<String>| {
            let flag = faults.parse(name, given(text), "true or false");
            flag.unwrap_or(false)
        };
        Announcement {
            settings: self,
            port,
            privacy_mode: flag("PEER_AGENT_PRIVACY_MODE", &self.privacy_mode),
            bootstrap_capable: flag("PEER_AGENT_BOOTSTRAP_CAPABLE", &self.bootstrap_capable),
            capabilities: faults.parse("PEER_AGENT_CAPABILITIES", capabilities, "a JSON object"),
            turn: self.turn.read(faults),
        }
    }
}

impl TurnSettings {
    /// The offer, which must be there.
    pub(crate) fn require(&self, faults: &mut Faults) -> Option<TurnOffer> {
        if entries(&self.turn_address).is_empty() && given(&self.turn_port).is_none() {
            faults.add(anyhow!(
                "no TURN server is given: --turn-address ADDRESS and --turn-port PORT"
            ));
        }
        self.read(faults)
    }

    /// The offer; none if it is not made.
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

/// A setting's text; none if it was set to nothing, as `KEY=` in a file does.
pub(crate) fn given(setting: &Option<String>) -> Option<&String> {
    setting.as_ref().filter(|text| !text.is_empty())
}

/// The entries of a list, which has none if it was set to nothing.
fn entries(list: &[String]) -> Vec<String> {
    let mut entries: Vec<_> = list.iter().map(|entry| entry.trim().to_owned()).collect();
    entries.retain(|entry| !entry.is_empty());
    entries
}

impl Announcement<'_> {
    /// The registration of the node with this identity.
    pub(crate) fn of(&self, identity: &Identity) -> RegisterRequest {
        let settings = self.settings;
        let mut registration = Registration::new(identity, self.port)
            .stores(entries(&settings.store))
            .privacy_mode(self.privacy_mode)
            .bootstrap_capable(self.bootstrap_capable);
        for address in entries(&settings.reveal_address) {
            registration = registration.reveal_address(address);
        }
        if let Some(network_id) = given(&settings.network_id) {
            registration = registration.network_id(network_id);
        }
        if let Some(version) = given(&settings.protocol_version) {
            registration = registration.version(version);
        }
        if let Some(version) = given(&settings.software_version) {
            registration = registration.software_version(version);
        }
        if let Some(capabilities) = &self.capabilities {
            registration = registration.capabilities(capabilities.clone());
        }
        if let Some(offer) = &self.turn {
            registration = registration.turn(offer.clone());
        }
        registration.into()
    }
}
