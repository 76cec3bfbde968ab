//! `peer-agent turn`: lists TURN servers, and registers the node as one.

use std::collections::HashSet;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use log::warn;
use peer_registry::agent::within_limits;
use peer_registry::protocol::{
    Limits, ListedTurnServer, PeerId, RegisterRequest, RegisterTurnServerRequest, TurnOffer,
};
use serde_json::json;

use crate::announce::TurnSettings;
use crate::event_lines::listed;
use crate::failure::{Failure, print_error, with_suggestion};
use crate::node::{KeySettings, warn_of_notices};
use crate::output;
use crate::settings::{Faults, RegistrySettings};

#[derive(Debug, Subcommand)]
pub(crate) enum TurnCommand {
    /// List the TURN servers with free capacity, from all registries together
    List(ListSettings),
    /// Register the node, which must be registered as a peer, as a TURN server
    Register(OfferSettings),
}

#[derive(Args, Debug)]
pub(crate) struct ListSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    /// Print JSON: {"servers": [...]}
    #[arg(long)]
    json: bool,
}

/// Registers the node, which must be registered as a peer, as a TURN server.
///
/// The offer is a part of the peer's registration: `peer-agent run` and `register` withdraw it
/// unless they get the same flags.
#[derive(Args, Debug)]
pub(crate) struct OfferSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,

    #[command(flatten)]
    turn: TurnSettings,
}

pub(crate) async fn turn(command: &TurnCommand) -> Result<(), Failure> {
    match command {
        TurnCommand::List(settings) => list(settings).await,
        TurnCommand::Register(settings) => offer(settings).await,
    }
}

async fn list(settings: &ListSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    faults.finish()?;

    let mut servers: Vec<ListedTurnServer> = Vec::new();
    let mut errors = Vec::new();
    for client in &registries.clients {
        match client.turn_servers().await {
            Ok(response) => servers.extend(response.servers),
            Err(error) => errors.push(error),
        }
    }
    if errors.len() == registries.clients.len() {
        return Failure::check(errors);
    }
    for error in errors {
        print_error(&with_suggestion(error));
    }
    let mut listed = HashSet::new();
    servers.retain(|server| listed.insert(server.peer_id.clone()));
    if settings.json {
        return Ok(output::json(&json!({ "servers": servers }))?);
    }
    let rows: Vec<_> = servers.iter().map(row).collect();
    Ok(output::table(
        ["PEER ID", "ADDRESSES", "PORT", "LOAD"],
        &rows,
    )?)
}

fn row(server: &ListedTurnServer) -> [String; 4] {
    [
        server.peer_id.to_string(),
        server.turn_addresses.join(","),
        server.turn_port.to_string(),
        format!("{} of {}", server.current_load, server.turn_capacity),
    ]
}

async fn offer(settings: &OfferSettings) -> Result<(), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let Some(offer) = settings.turn.require(&mut faults) else {
        return faults.finish();
    };
    let node = settings.key.require(faults)?;
    let offer = offer_within_limits(node.peer_id(), offer)?;
    let request = RegisterTurnServerRequest {
        peer_id: node.peer_id().clone(),
        offer,
    };
    let mut errors = Vec::new();
    for client in node.clients(&registries) {
        match client.register_turn_server(&request).await {
            Ok(response) => {
                output::line(&format!(
                    "{} offers to relay at {}, TURN servers in all: {}",
                    response.peer_id,
                    client.url(),
                    response.turn_servers,
                ))?;
                let dropped = response.dropped.unwrap_or_default();
                if !dropped.is_empty() {
                    let registry = client.url();
                    warn!("{registry} leaves out of the offer: {}", listed(&dropped));
                }
            }
            Err(error) => errors.push(error),
        }
        warn_of_notices(&client);
    }
    Failure::check(errors)
}

/// The offer without what no registry takes, as `run` sends it.
fn offer_within_limits(peer_id: &PeerId, offer: TurnOffer) -> Result<TurnOffer, Failure> {
    let registration = RegisterRequest {
        peer_id: peer_id.clone(),
        turn: Some(offer),
        ..RegisterRequest::default()
    };
    let (registration, dropped) = within_limits(registration, &Limits::default());
    if !dropped.is_empty() {
        warn!("left out of the offer: {}", listed(&dropped));
    }
    let nothing = || Failure::usage(anyhow!("nothing of the offer is left to send"));
    registration.turn.ok_or_else(nothing)
}
