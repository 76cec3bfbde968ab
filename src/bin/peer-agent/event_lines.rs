//! The events of the agent as lines: of JSON for programs, of the log for people.

use log::{debug, info, warn};
use peer_registry::agent::{Event, PeerList, PeerSource};
use peer_registry::clock::rfc3339;

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
        Event::Lost { registry } => warn!("{registry} has lost the node, registering again"),
        Event::Throttled {
            registry,
            retry_at_ms,
        } => warn!(
            "{registry} asks this node to wait, next try at {}",
            rfc3339(*retry_at_ms)
        ),
        Event::Refused {
            registry,
            code,
            message,
            retry_at_ms,
        } => warn!(
            "{registry} refuses the registration ({code}): {message}; next try at {}",
            rfc3339(*retry_at_ms)
        ),
        Event::Unreachable {
            registry, reason, ..
        } => warn!("{registry} is not reachable, trying again: {reason}"),
        Event::FallbackStarted { connected_peers } => {
            info!("the node has {connected_peers} connections, looking for peers");
        }
        Event::PeersFound { list } => log_list(list),
        other => debug!("{other:?}"),
    }
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
