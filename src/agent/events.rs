//! What the agent reports to the node.

use futures_util::Stream;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::peer_list::PeerList;
use crate::protocol::ErrorCode;

/// How many events wait for a slow reader before the oldest are dropped.
pub(crate) const CAPACITY: usize = 64;

/// Something that happened. `registry` is the address of the registry without a password. Times are
/// in Unix milliseconds by the node's clock.
///
/// As JSON it is an object with the name in snake case as `event`, and the fields in camel case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// The node is registered, for the first time or with an updated registration.
    Registered {
        /// The registry.
        registry: String,
        /// When the lease ends unless it is renewed.
        lease_until_ms: i64,
        /// The time between heartbeats, in milliseconds, without jitter.
        heartbeat_interval_ms: i64,
    },
    /// A heartbeat renewed the lease.
    Renewed {
        /// The registry.
        registry: String,
        /// When the lease ends unless it is renewed.
        lease_until_ms: i64,
    },
    /// The registry no longer knows the node, which registers again.
    Lost {
        /// The registry.
        registry: String,
    },
    /// The node is registered again after its lease was lost.
    Reregistered {
        /// The registry.
        registry: String,
        /// When the lease ends unless it is renewed.
        lease_until_ms: i64,
        /// The time between heartbeats, in milliseconds, without jitter.
        heartbeat_interval_ms: i64,
    },
    /// The registry asks the node to wait. Not sent again until a request succeeds or fails in
    /// another way.
    Throttled {
        /// The registry.
        registry: String,
        /// When the next request is sent.
        retry_at_ms: i64,
    },
    /// The registry refuses the registration. Not sent again until a request succeeds or fails in
    /// another way.
    Refused {
        /// The registry.
        registry: String,
        /// The error code.
        code: ErrorCode,
        /// The reason that the registry gave.
        message: String,
        /// When the next request is sent unless the registration is updated before.
        retry_at_ms: i64,
    },
    /// There is no response, or one that no registry sends. Not sent again until a request succeeds
    /// or fails in another way.
    Unreachable {
        /// The registry.
        registry: String,
        /// What went wrong.
        reason: String,
        /// When the next request is sent.
        retry_at_ms: i64,
    },
    /// The node has too few connections, so the agent looks for peers.
    FallbackStarted {
        /// The number of connections.
        connected_peers: usize,
    },
    /// Peers to connect to.
    PeersFound {
        /// The peers of all registries, or the last good list.
        list: PeerList,
    },
    /// The reader was too slow and missed events.
    Missed {
        /// The number of missed events.
        count: u64,
    },
}

/// The events of an agent, for one reader. They end when the agent is stopped.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// Waits for the next event; `None` after the last event of a stopped agent.
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
