//! The events of the agent as lines: of JSON for programs, of the log for people.

use log::{debug, info, warn};
use peer_registry::agent::{Event, PeerList, PeerSource, RefusalCode};
use peer_registry::clock::rfc3339;
use peer_registry::protocol::{DroppedField, ErrorCode};

/// The event as a line of JSON, for programs.
pub(crate) fn json_line(event: &Event) -> Vec<u8> {
    match serde_json::to_vec(event) {
        Ok(json) => [&json[..], b"\n"].concat(),
        Err(error) => {
            warn!("an event has no JSON form: {error}");
            Vec::new()
        }
    }
}

/// The line of JSON that replaces events that were dropped.
pub(crate) fn missed_line(count: u64) -> Vec<u8> {
    json_line(&Event::Missed { count })
}

/// Logs the event, for people.
pub(crate) fn log_event(event: &Event) {
    match event {
        Event::Registered {
            registry,
            heartbeat_interval_ms,
            ..
        } => info!(
            "registered with {registry}, a heartbeat every {} s",
            heartbeat_interval_ms / 1_000
        ),
        Event::Reregistered { registry, .. } => info!("registered again with {registry}"),
        Event::Renewed { registry, .. } => debug!("renewed the lease with {registry}"),
        Event::Lost { .. }
        | Event::LeaseLapsed { .. }
        | Event::Replaced { .. }
        | Event::Dropped { .. }
        | Event::Warned { .. }
        | Event::RegistryKeyChanged { .. }
        | Event::NotProven { .. }
        | Event::Throttled { .. }
        | Event::Refused { .. }
        | Event::Unreachable { .. }
        | Event::Failed { .. } => log_trouble(event),
        Event::Reachable { registry, gone_ms } => {
            info!("{registry} is reachable again, after {} s", gone_ms / 1_000);
        }
        Event::FallbackStarted { connected_peers } => {
            info!("the node has {connected_peers} connections, looking for peers");
        }
        Event::FallbackEnded { connected_peers } => {
            info!("the node has {connected_peers} connections, which is enough");
        }
        Event::NobodyFound { failures } if failures.is_empty() => {
            warn!("found nobody to connect to: the registries list no other peer");
        }
        Event::NobodyFound { failures } => {
            warn!("found nobody to connect to: {}", failures.join("; "));
        }
        Event::PeersFound { list } => log_list(list),
        other => debug!("{other:?}"),
    }
}

fn log_trouble(event: &Event) {
    match event {
        Event::Lost { registry } => warn!("{registry} has lost the node, registering again"),
        Event::LeaseLapsed { registry } => {
            warn!("the lease with {registry} has run out, the node may no longer be listed there")
        }
        Event::Replaced {
            registry,
            announces_again,
        } => warn!(
            "another node has registered with {registry} with this node's key; {}",
            if *announces_again {
                "announcing this node again"
            } else {
                "not announcing this node again for now: give each node its own key file"
            }
        ),
        Event::Dropped { registry, dropped } => {
            let who = registry.as_deref().unwrap_or("this agent");
            warn!("{who} leaves out of the registration: {}", listed(dropped));
        }
        Event::Warned { registry, message } => warn!("{registry} warns: {message}"),
        Event::RegistryKeyChanged {
            registry,
            before,
            now,
        } => warn!(
            "{registry} has another key than before: it was {before} and is {now}; if its operator knows \
             nothing of it, another server responds in its place"
        ),
        Event::NotProven { registry, reason } => warn!("{registry}: {reason}"),
        Event::Throttled {
            registry,
            code,
            message,
            retry_at_ms,
        } => log_throttle(registry, code.as_ref(), message, *retry_at_ms),
        Event::Refused {
            registry,
            code,
            message,
            retry_at_ms,
        } => warn!(
            "{registry} refuses the registration ({code}): {message}; to do: {}; next try at {}",
            code.advice(),
            rfc3339(*retry_at_ms)
        ),
        Event::Unreachable {
            registry, reason, ..
        } => warn!("{registry} is not reachable, trying again: {reason}"),
        Event::Failed { task, reason } => warn!("{task} no longer works: {reason}"),
        _ => {}
    }
}

fn log_throttle(registry: &str, code: Option<&RefusalCode>, message: &str, retry_at_ms: i64) {
    let next = rfc3339(retry_at_ms);
    match code {
        Some(RefusalCode::Known(ErrorCode::RegistryFull)) => {
            warn!("{registry} is full (registry_full): {message}; next try at {next}");
        }
        Some(code) => {
            warn!("{registry} asks this node to wait ({code}): {message}; next try at {next}");
        }
        None => warn!("{registry} asks this node to wait: {message}; next try at {next}"),
    }
}

/// The dropped fields and the reasons, in one line.
pub(crate) fn listed(dropped: &[DroppedField]) -> String {
    let parts = dropped.iter().map(DroppedField::to_string);
    parts.collect::<Vec<_>>().join(", ")
}

fn log_list(list: &PeerList) {
    let count = list.peers.len();
    match list.source {
        PeerSource::Registries => info!("found {count} peers"),
        PeerSource::LastKnownGood { age_ms, .. } => warn!(
            "no registry names a peer; {count} from {} s ago are known",
            age_ms / 1_000
        ),
    }
}
