//! What the agent tells the node.

use futures_util::Stream;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::peers::PeerList;
use crate::protocol::ErrorCode;

/// How many events wait for a slow reader before the oldest are dropped.
pub(super) const CAPACITY: usize = 64;

/// Something that happened; `registry` is the address of the registry that it concerns, and every
/// moment is in Unix milliseconds by the node's clock.
///
/// As JSON it is an object whose `event` is the name in snake case, with fields in camel case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// The node is registered, for the first time or with something new to announce.
    Registered {
        /// The registry.
        registry: String,
        /// When the lease runs out unless it is renewed.
        lease_until_ms: i64,
        /// The time between heartbeats, in milliseconds, before jitter.
        heartbeat_interval_ms: i64,
    },
    /// A heartbeat renewed the lease.
    Renewed {
        /// The registry.
        registry: String,
        /// When the lease runs out unless it is renewed.
        lease_until_ms: i64,
    },
    /// The registry no longer knows the node; it registers again.
    Lost {
        /// The registry.
        registry: String,
    },
    /// The node is registered again after its place was lost.
    Reregistered {
        /// The registry.
        registry: String,
        /// When the lease runs out unless it is renewed.
        lease_until_ms: i64,
        /// The time between heartbeats, in milliseconds, before jitter.
        heartbeat_interval_ms: i64,
    },
    /// The registry asks for patience. Told once until a request succeeds or fails otherwise.
    Throttled {
        /// The registry.
        registry: String,
        /// When it is asked again.
        retry_at_ms: i64,
    },
    /// The registry will not have the registration. Told once until something changes.
    Refused {
        /// The registry.
        registry: String,
        /// The kind of fault.
        code: ErrorCode,
        /// The registry's words.
        message: String,
        /// When it is asked again unless the registration is updated before.
        retry_at_ms: i64,
    },
    /// The registry does not answer, or not as a registry. Told once until that changes.
    Unreachable {
        /// The registry.
        registry: String,
        /// What went wrong.
        reason: String,
        /// When it is asked again.
        retry_at_ms: i64,
    },
    /// The node has too few connections, so peers are looked for.
    FallbackStarted {
        /// How many it has.
        connected_peers: usize,
    },
    /// Peers to connect to.
    PeersFound {
        /// The peers, from all registries or from the last time that there were any.
        list: PeerList,
    },
    /// The reader was too slow, and some events are gone.
    Missed {
        /// How many.
        count: u64,
    },
}

/// The events of an agent, one reader's view; ends when the agent is stopped.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// Waits for the next event; none when the agent has stopped and all have been read.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(RecvError::Closed) => None,
        }
    }

    /// The events as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send {
        stream::unfold(self, async |mut events| {
            let event = events.next().await?;
            Some((event, events))
        })
    }
}
