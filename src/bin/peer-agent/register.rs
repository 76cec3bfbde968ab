//! `peer-agent register` and `heartbeat`: one request to each registry.

use clap::Args;

use crate::announce::AnnounceSettings;
use crate::failure::Failure;
use crate::output;
use crate::settings::{Faults, KeySettings, RegistrySettings};

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
    let identity = settings.key.require_or_make(faults)?;
    let registration = announcement.registration(&identity);
    let mut errors = Vec::new();
    for client in &registries.clients {
        match client.register(&registration).await {
            Ok(response) => output::line(&format!(
                "{} registered with {}{}, peers in all: {}",
                response.peer_id,
                client.url(),
                lease(response.last_seen, response.expires_at),
                response.total_peers,
            ))?,
            Err(error) => errors.push(error),
        }
    }
    Failure::check(errors)
}

pub(crate) async fn heartbeat(settings: &HeartbeatSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let identity = settings.key.require(faults)?;
    let mut errors = Vec::new();
    for client in &registries.clients {
        match client.heartbeat(identity.peer_id()).await {
            Ok(response) => output::line(&format!(
                "{} renewed with {}{}",
                response.peer_id,
                client.url(),
                lease(response.last_seen, response.expires_at),
            ))?,
            Err(error) => errors.push(error),
        }
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
