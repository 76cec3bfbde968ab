//! The message handlers of the actor.

use actix::{ActorContext, ActorFutureExt, Handler, ResponseActFuture, WrapFuture};
use tokio::sync::oneshot;

use super::registry_actor::{RegistryActor, StopPhase};
use crate::server::registry::batch::Maintenance;
use crate::server::registry::error::RegistryError;
use crate::server::registry::journal;
use crate::server::registry::messages::{BatchFinished, Drain, TakeMutations};
use crate::server::registry::pulse::Phase;
use crate::server::registry::tables::Written;
use crate::server::storage::StorageError;

impl Handler<TakeMutations> for RegistryActor {
    type Result = ();

    fn handle(&mut self, _: TakeMutations, ctx: &mut Self::Context) {
        self.go_on(ctx);
    }
}

impl Handler<BatchFinished> for RegistryActor {
    type Result = ();

    fn handle(&mut self, message: BatchFinished, ctx: &mut Self::Context) {
        let BatchFinished {
            batch,
            result,
            refuses_everyone,
        } = message;
        self.end_io();
        match result {
            Ok(Written::Committed) => {
                self.enter(Phase::Applying);
                self.apply(batch);
                self.enter(Phase::Waiting);
            }
            Ok(Written::Changed(changed)) => self.begin_resync(*changed, batch),
            Err(error @ StorageError::Constraint(_)) if !refuses_everyone => {
                self.isolate(batch, &error);
            }
            Err(error) => {
                let since_ms = batch.plan.changes.now_ms;
                self.fail(batch, &error, since_ms);
            }
        }
        self.go_on(ctx);
    }
}

impl Handler<Drain> for RegistryActor {
    type Result = ResponseActFuture<Self, Result<(), RegistryError>>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, done) = oneshot::channel();
        self.stop = StopPhase::Draining;
        self.drained = Some(drained);
        // The outage that begins now is computed from the last sign of life, so one is recorded
        // now.
        self.add_maintenance(Maintenance::MarkAlive, ctx);
        let closed = done.into_actor(self).map(|closed, _, ctx| {
            ctx.stop();
            match closed {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    journal::close_failed(&error);
                    Err(RegistryError::StorageUnavailable)
                }
                Err(_) => Err(RegistryError::Stopped),
            }
        });
        Box::pin(closed)
    }
}
