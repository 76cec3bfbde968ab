//! `peer-agent register` and `heartbeat`: one request to each registry.

use clap::Args;
use log::warn;
use peer_registry::agent::within_limits;
use peer_registry::protocol::{Limits, RegisterResponse};

use crate::announce::AnnounceSettings;
use crate::event_lines::listed;
use crate::failure::Failure;
use crate::node::{KeySettings, warn_of_notices};
use crate::output;
use crate::settings::{Faults, RegistrySettings};

/// Registers the node once with each registry, and replaces what it announced before.
///
/// Without heartbeats the lease ends after some minutes; `peer-agent run` sends them.
#[derive(Args, Debug)]
pub(crate) struct RegisterSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,

    #[command(flatten)]
    announce: AnnounceSettings,
}

/// Renews the lease of the node, which must be registered, once with each registry.
#[derive(Args, Debug)]
pub(crate) struct HeartbeatSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,
}

pub(crate) async fn register(settings: &RegisterSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let announcement = settings.announce.read(&mut faults);
    let node = settings.key.require_or_make(faults)?;
    let registration = announcement.registration(&node)?;
    let (registration, dropped) = within_limits(registration, &Limits::default());
    if !dropped.is_empty() {
        warn!("left out of the registration: {}", listed(&dropped));
    }
    let mut errors = Vec::new();
    for client in node.clients(&registries) {
        match client.register(&registration).await {
            Ok(response) => print_registered(client.url(), &response)?,
            Err(error) => errors.push(error),
        }
        warn_of_notices(&client);
    }
    Failure::check(errors)
}

fn print_registered(registry: &str, response: &RegisterResponse) -> Result<(), Failure> {
    output::line(&format!(
        "{} registered with {registry}{}, peers in all: {}",
        response.peer_id,
        lease(response.last_seen, response.expires_at),
        response.total_peers,
    ))?;
    if let Some(dropped) = response
        .dropped
        .as_ref()
        .filter(|dropped| !dropped.is_empty())
    {
        warn!(
            "{registry} leaves out of the registration: {}",
            listed(dropped)
        );
    }
    if let Some(warning) = &response.warning {
        warn!("{registry} warns: {warning}");
    }
    Ok(())
}

pub(crate) async fn heartbeat(settings: &HeartbeatSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let node = settings.key.require(faults)?;
    let mut errors = Vec::new();
    for client in node.clients(&registries) {
        match client.heartbeat(node.peer_id()).await {
            Ok(response) => {
                output::line(&format!(
                    "{} renewed with {}{}",
                    response.peer_id,
                    client.url(),
                    lease(response.last_seen, response.expires_at),
                ))?;
                if let Some(warning) = &response.warning {
                    warn!("{} warns: {warning}", client.url());
                }
            }
            Err(error) => errors.push(error),
        }
        warn_of_notices(&client);
    }
    Failure::check(errors)
}

/// The length of the lease for people; empty if the registry does not say.
fn lease(last_seen: i64, expires_at: i64) -> String {
    match expires_at.saturating_sub(last_seen) {
        lease_ms @ 1.. => format!(", for {} s", lease_ms / 1_000),
        _ => String::new(),
    }
}
