//! `peer-agent unregister`: the node leaves at once.

use anyhow::anyhow;
use clap::Args;

use crate::failure::Failure;
use crate::node::{KeySettings, warn_of_notices};
use crate::output;
use crate::settings::{Faults, RegistrySettings};

/// Removes the node from each registry at once, instead of at the end of its lease.
///
/// Only the holder of the node's key can do that. Stop the node first, or it registers again. A registry
/// that does not know the node counts as done.
#[derive(Args, Debug)]
pub(crate) struct UnregisterSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,
}

pub(crate) async fn unregister(settings: &UnregisterSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let node = settings.key.require(faults)?;
    if !node.has_private_key() {
        return Err(Failure::usage(anyhow!(
            "unregister needs the node's key, since only its holder can remove the node: leave \
             PEER_AGENT_PEER_ID out and name the key file (--key-file)"
        )));
    }
    let mut errors = Vec::new();
    for client in node.clients(&registries) {
        let peer_id = node.peer_id();
        match client.unregister(peer_id).await {
            Ok(response) => output::line(&format!(
                "{peer_id} has left {}, peers in all: {}",
                client.url(),
                response.total_peers
            ))?,
            Err(error) if error.is_peer_not_found() => {
                output::line(&format!(
                    "{peer_id} is not registered with {}",
                    client.url()
                ))?;
            }
            Err(error) => errors.push(error),
        }
        warn_of_notices(&client);
    }
    Failure::check(errors)
}
