//! A request that waits to be written, with the channel for its reply.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::RegistryError;
use super::reply::Committed;
use crate::server::model::Proof;

/// A request that changes the registry.
pub(crate) trait Operation: Sized {
    /// The planner's decision.
    type Decision;
    /// The reply that the sender gets once the decision is on disk.
    type Reply;

    /// Makes the reply from the decision.
    fn reply(decision: Self::Decision, committed: &mut Committed<'_>) -> Self::Reply;
}

/// A request, the decision on it, and the channel for the reply.
///
/// The permit belongs to the request, not to the connection: a client that hangs up frees no
/// permit, so the queue cannot grow longer than the number of permits.
#[derive(Debug)]
pub(crate) struct Pending<O: Operation> {
    pub(crate) request: O,
    /// Whether the sender proved to hold the key of its peer id.
    pub(crate) proof: Proof,
    decision: Result<O::Decision, RegistryError>,
    reply: oneshot::Sender<Result<O::Reply, RegistryError>>,
    permit: OwnedSemaphorePermit,
}

/// Resolves to the reply, or to an error if the actor has stopped.
pub(crate) type ReplyReceiver<O> =
    oneshot::Receiver<Result<<O as Operation>::Reply, RegistryError>>;

impl<O: Operation> Pending<O> {
    pub(crate) fn new(
        request: O,
        proof: Proof,
        permit: OwnedSemaphorePermit,
    ) -> (Self, ReplyReceiver<O>) {
        let (reply, receiver) = oneshot::channel();
        let pending = Self {
            request,
            proof,
            // The error that is sent if the actor stops before it plans.
            decision: Err(RegistryError::Stopped),
            reply,
            permit,
        };
        (pending, receiver)
    }

    /// Stores the planner's decision. A batch that is planned again overwrites it.
    pub(crate) fn decide(&mut self, decision: Result<O::Decision, RegistryError>) {
        self.decision = decision;
    }

    pub(crate) fn decision(&self) -> &Result<O::Decision, RegistryError> {
        &self.decision
    }

    /// Sends the reply. The decision must be on disk.
    pub(crate) fn reply(self, committed: &mut Committed<'_>) {
        let reply = self.decision.map(|decision| O::reply(decision, committed));
        // The client may have hung up. Its request was carried out all the same.
        let _ = self.reply.send(reply);
        drop(self.permit);
    }

    /// Sends an error instead of the decision.
    pub(crate) fn refuse(self, error: RegistryError) {
        let _ = self.reply.send(Err(error));
        drop(self.permit);
    }
}
