//! What the agent reports to the node.

use futures_util::Stream;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::client::RefusalCode;
use super::peer_list::PeerList;
use crate::protocol::{DroppedField, PeerId};

/// How many events wait for a slow reader before the oldest are dropped.
pub(crate) const CAPACITY: usize = 64;

/// Something that happened. `registry` is the address of the registry without a password. Times are
/// in Unix milliseconds by the node's clock.
///
/// As JSON it is an object with the name in snake case as `event`, and the fields in camel case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The lease has run out by the node's clock, before the node could renew it. The registry may
    /// have removed the node, or may do so at any time.
    LeaseLapsed {
        /// The registry.
        registry: String,
    },
    /// Another node has registered with this node's key and has replaced what this node announced.
    ///
    /// The agent announces its own registration again, once in the time of a lease. Two nodes with
    /// the same key would otherwise replace each other for ever.
    Replaced {
        /// The registry.
        registry: String,
        /// Whether the agent announces its registration again.
        announces_again: bool,
    },
    /// A part of the registration is not listed. Sent again only when it changes.
    Dropped {
        /// The registry that has left it out; `None` if the agent has, before it sent anything.
        registry: Option<String>,
        /// What was left out, and why.
        dropped: Vec<DroppedField>,
    },
    /// The registry warns the node, e.g. that two nodes use its key. Sent once for each text.
    Warned {
        /// The registry.
        registry: String,
        /// The warning.
        message: String,
    },
    /// The registry has proven another key than before: its operator has lost the keys, or another server
    /// responds in its place. The agent goes on with the new key.
    RegistryKeyChanged {
        /// The registry.
        registry: String,
        /// The registry's peer id before.
        before: PeerId,
        /// The registry's peer id now.
        now: PeerId,
    },
    /// The node does not prove its key to a registry that knows proofs, or might know them. Anybody can
    /// register, renew or remove it there, unless its id was proven before. Sent once for each reason.
    NotProven {
        /// The registry.
        registry: String,
        /// Why, as a sentence.
        reason: String,
    },
    /// The registry asks the node to wait. Not sent again until a request succeeds or fails in
    /// another way.
    Throttled {
        /// The registry.
        registry: String,
        /// The error code, e.g. `registry_full`; `None` if a proxy has answered.
        code: Option<RefusalCode>,
        /// The reason that the registry gave, or what the proxy has answered.
        message: String,
        /// When the next request is sent.
        retry_at_ms: i64,
    },
    /// The registry refuses the registration. Not sent again until a request succeeds or fails in
    /// another way.
    Refused {
        /// The registry.
        registry: String,
        /// The error code.
        code: RefusalCode,
        /// The reason that the registry gave.
        message: String,
        /// When the next request is sent unless the registration is updated before.
        retry_at_ms: i64,
    },
    /// There is no response, or one that no registry sends. Not sent again until a request succeeds
    /// or fails for another reason.
    Unreachable {
        /// The registry.
        registry: String,
        /// What went wrong.
        reason: String,
        /// When the next request is sent.
        retry_at_ms: i64,
    },
    /// The registry responds again after [`Unreachable`](Self::Unreachable) or
    /// [`Throttled`](Self::Throttled). The event that says what it responds comes next.
    Reachable {
        /// The registry.
        registry: String,
        /// The time since the first request that failed, in milliseconds.
        gone_ms: i64,
    },
    /// The node has too few connections, so the agent looks for peers.
    FallbackStarted {
        /// The number of connections.
        connected_peers: usize,
    },
    /// The node has enough connections again, so the agent no longer looks for peers.
    FallbackEnded {
        /// The number of connections.
        connected_peers: usize,
    },
    /// The agent looked for peers and found nobody to connect to. Not sent again until a search
    /// finds peers, or fails for other reasons.
    NobodyFound {
        /// Why registries did not respond, one sentence for each; empty if all did.
        failures: Vec<String>,
    },
    /// Peers to connect to.
    PeersFound {
        /// The peers of all registries, or the last good list.
        list: PeerList,
    },
    /// A part of the agent has ended by a fault of the program, e.g. because a function that the node
    /// has passed panics, or the runtime has no I/O. The other parts go on; the agent does not
    /// start this one again.
    Failed {
        /// What no longer works, e.g. the registration with a registry.
        task: String,
        /// The message of the panic.
        reason: String,
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
