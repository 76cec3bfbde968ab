//! How the actor answers its messages.

use actix::{ActorContext, ActorFutureExt, Handler, MessageResult, ResponseActFuture, WrapFuture};
use tokio::sync::oneshot;

use super::super::RegistryError;
use super::super::batch::Chore;
use super::super::journal;
use super::super::messages::{
    BatchFinished, Drain, ListPeers, ListTurnServers, Peers, ReadStatus, Status, TakeMutations,
};
use super::super::pulse::Phase;
use super::{RegistryActor, Storage, Written};
use crate::server::policy::cost::ModeLimits;

impl Handler<TakeMutations> for RegistryActor {
    type Result = ();

    fn handle(&mut self, _: TakeMutations, ctx: &mut Self::Context) {
        self.write(ctx);
    }
}

impl Handler<BatchFinished> for RegistryActor {
    type Result = ();

    fn handle(&mut self, message: BatchFinished, ctx: &mut Self::Context) {
        self.is_writing = false;
        self.pulse.end_commit();
        let BatchFinished { batch, result } = message;
        match result {
            Ok(Written::Committed) => {
                self.enter(Phase::Applying);
                self.apply(batch);
                self.enter(Phase::Waiting);
            }
            Ok(Written::Reloaded {
                views,
                version,
                credited,
            }) => {
                self.enter(Phase::Reloading);
                self.reload(*views, version, credited);
                self.enter(Phase::Waiting);
                self.write_batch(batch, ctx);
            }
            Err(error) => self.fail(batch, &error),
        }
        self.write(ctx);
    }
}

impl Handler<ListPeers> for RegistryActor {
    type Result = MessageResult<ListPeers>;

    fn handle(&mut self, message: ListPeers, _: &mut Self::Context) -> Self::Result {
        let now_ms = self.look();
        let membership = self.directory.membership();
        let limits = ModeLimits::of(self.relay.mode(now_ms));
        let most = limits.most_listed.unwrap_or(usize::MAX).min(message.most);
        let listing = (!message.known.contains(&membership)).then(|| {
            self.directory
                .list_peers(&message.filter, &message.extent, most, &mut self.rng)
        });
        MessageResult(Peers {
            membership,
            listing,
            total_registered: self.directory.registered(),
            now_ms,
        })
    }
}

impl Handler<ListTurnServers> for RegistryActor {
    type Result = MessageResult<ListTurnServers>;

    fn handle(&mut self, message: ListTurnServers, _: &mut Self::Context) -> Self::Result {
        let now_ms = self.look();
        MessageResult(self.directory.list_turn_servers(message.most, now_ms))
    }
}

impl Handler<ReadStatus> for RegistryActor {
    type Result = MessageResult<ReadStatus>;

    fn handle(&mut self, _: ReadStatus, _: &mut Self::Context) -> Self::Result {
        let now_ms = self.look();
        MessageResult(Status {
            total_peers: self.directory.registered(),
            active_peers: self.directory.active(),
            turn_servers: self.directory.turn_servers(),
            uptime_secs: u64::try_from((now_ms - self.started_ms) / 1000).unwrap_or(0),
            counters: self.counters.clone(),
            cost: self.relay.status(now_ms),
            is_degraded: matches!(self.storage, Storage::Fails { .. }),
            now_ms,
        })
    }
}

impl Handler<Drain> for RegistryActor {
    type Result = ResponseActFuture<Self, Result<(), RegistryError>>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (drained, done) = oneshot::channel();
        self.drained = Some(drained);
        // The outage that begins now is reckoned from the last sign of life.
        self.add_chore(Chore::MarkAlive, ctx);
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
