//! A request that waits to be written, with the way back to its sender.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::RegistryError;
use super::reply::Committed;

/// A request that changes the registry.
pub(crate) trait Operation: Sized {
    /// What the planner decides.
    type Decision;
    /// What the sender is told once the decision is on disk.
    type Reply;

    /// The reply to a request that was decided in this way.
    fn reply(decision: Self::Decision, committed: &mut Committed<'_>) -> Self::Reply;
}

/// A request, the decision on it, and where the reply goes.
///
/// The permit travels with the request, not with the client: clients that hang up cannot make the
/// queue longer than the permits allow.
#[derive(Debug)]
pub(crate) struct Pending<O: Operation> {
    pub(crate) request: O,
    decision: Result<O::Decision, RegistryError>,
    reply: oneshot::Sender<Result<O::Reply, RegistryError>>,
    permit: OwnedSemaphorePermit,
}

/// Resolves to the reply; to an error if the actor is gone.
pub(crate) type ReplyReceiver<O> =
    oneshot::Receiver<Result<<O as Operation>::Reply, RegistryError>>;

impl<O: Operation> Pending<O> {
    pub(crate) fn new(request: O, permit: OwnedSemaphorePermit) -> (Self, ReplyReceiver<O>) {
        let (reply, receiver) = oneshot::channel();
        let pending = Self {
            request,
            // Holds if the actor ends before it plans.
            decision: Err(RegistryError::Stopped),
            reply,
            permit,
        };
        (pending, receiver)
    }

    /// Notes what the planner has decided. A batch that is planned again is decided again.
    pub(crate) fn decide(&mut self, decision: Result<O::Decision, RegistryError>) {
        self.decision = decision;
    }

    pub(crate) fn decision(&self) -> &Result<O::Decision, RegistryError> {
        &self.decision
    }

    /// Sends the reply, as the decision is on disk.
    pub(crate) fn reply(self, committed: &mut Committed<'_>) {
        let reply = self.decision.map(|decision| O::reply(decision, committed));
        // The client may have hung up; what it asked for is done all the same.
        let _ = self.reply.send(reply);
        drop(self.permit);
    }

    /// Sends an error, whatever was decided.
    pub(crate) fn refuse(self, error: RegistryError) {
        let _ = self.reply.send(Err(error));
        drop(self.permit);
    }
}
