//! The node: its key file, or its id alone.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use log::warn;
use peer_registry::agent::{Identity, IdentityError, RegistryClient};
use peer_registry::protocol::{Limits, PeerId};

use crate::failure::Failure;
use crate::settings::{Faults, Registries, given};

/// The default key file.
const DEFAULT_KEY_FILE: &str = "node.key";

/// The node's identity: the file with its key, or its id alone.
#[derive(Args, Debug)]
pub(crate) struct KeySettings {
    /// File with the node's Ed25519 key, in libp2p's protobuf encoding
    #[arg(
        long,
        env = "PEER_AGENT_KEY_FILE",
        value_name = "FILE",
        default_value = DEFAULT_KEY_FILE
    )]
    key_file: OsString,

    /// Id of the node, instead of its key: for a node that keeps the key itself. A libp2p id in any
    /// spelling (12D3KooW..., Qm..., a CID), or an id of another scheme
    #[arg(long, env = "PEER_AGENT_PEER_ID", value_name = "ID")]
    peer_id: Option<String>,
}

/// What is known of the node.
pub(crate) enum Node {
    /// Its key, or an id that contains its public key.
    Keyed(Box<Identity>),
    /// Its id, which does not contain its public key.
    Named(PeerId),
}

impl Node {
    pub(crate) fn peer_id(&self) -> &PeerId {
        match self {
            Self::Keyed(identity) => identity.peer_id(),
            Self::Named(peer_id) => peer_id,
        }
    }

    /// Whether the node can prove its id.
    pub(crate) fn has_private_key(&self) -> bool {
        self.identity().is_some_and(Identity::has_private_key)
    }

    /// The node's identity; `None` if its id does not contain its public key.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Keyed(identity) => Some(identity),
            Self::Named(_) => None,
        }
    }

    /// The clients of the registries, which prove the node's key if it is known.
    pub(crate) fn clients(&self, registries: &Registries) -> Vec<RegistryClient> {
        let clients = registries.clients.iter().cloned();
        let prove = |client: RegistryClient| match self.identity() {
            Some(identity) => client.with_identity(identity),
            None => client,
        };
        clients.map(prove).collect()
    }

    /// Reads an id in any spelling.
    fn of_id(text: &str) -> anyhow::Result<Self> {
        if let Ok(identity) = Identity::from_peer_id(text) {
            return Ok(Self::Keyed(identity.into()));
        }
        let id = PeerId::parse_new(text, "PEER_AGENT_PEER_ID", &Limits::default())?;
        let looks_like_libp2p = ["12D3KooW", "16Uiu2HA", "Qm"]
            .iter()
            .any(|start| id.as_str().starts_with(start));
        if looks_like_libp2p && !is_libp2p(id.as_str()) {
            return Err(anyhow!(
                "PEER_AGENT_PEER_ID: {text} begins like a libp2p id, but is none: a character is wrong \
                 or missing"
            ));
        }
        Ok(Self::Named(id))
    }
}

/// Logs what the node should know about its proofs.
pub(crate) fn warn_of_notices(client: &RegistryClient) {
    for notice in client.take_notices() {
        warn!("{}: {notice}", client.url());
    }
}

fn is_libp2p(id: &str) -> bool {
    id.parse::<peer_registry::agent::libp2p_identity::PeerId>()
        .is_ok()
}

impl KeySettings {
    /// The settings with their names, for a comparison.
    pub(crate) fn named(&self) -> [(&'static str, String); 2] {
        [
            ("PEER_AGENT_KEY_FILE", format!("{:?}", self.key_file)),
            ("PEER_AGENT_PEER_ID", format!("{:?}", self.peer_id)),
        ]
    }

    pub(crate) fn path(&self) -> &Path {
        if self.key_file.is_empty() {
            Path::new(DEFAULT_KEY_FILE)
        } else {
            Path::new(&self.key_file)
        }
    }

    /// The node; `None` if the key file does not exist.
    pub(crate) fn find(&self) -> anyhow::Result<Option<Node>> {
        if let Some(id) = given(&self.peer_id) {
            return Node::of_id(id.trim()).map(Some);
        }
        match Identity::load(self.path()) {
            Err(IdentityError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            result => Ok(Some(Node::Keyed(result?.into()))),
        }
    }

    /// Ends the check of the settings and returns the node, which must exist.
    pub(crate) fn require(&self, mut faults: Faults) -> Result<Node, Failure> {
        match self.find() {
            Ok(Some(node)) => return faults.finish().map(|()| node),
            Ok(None) => faults.add(anyhow!(
                "there is no key file {}: peer-agent id makes one, --key-file names another",
                self.path().display()
            )),
            Err(error) => faults.add(error),
        }
        Err(faults.into())
    }

    /// Ends the check of the settings and returns the node. Its key is made if the file does not exist
    /// and the settings have no fault.
    pub(crate) fn require_or_make(&self, mut faults: Faults) -> Result<Node, Failure> {
        let found = match self.find() {
            Ok(found) => found,
            Err(error) => {
                faults.add(error);
                None
            }
        };
        faults.finish()?;
        if let Some(node) = found {
            return Ok(node);
        }
        Identity::load_or_create(self.path())
            .map(|identity| Node::Keyed(identity.into()))
            .map_err(Failure::usage)
    }
}
