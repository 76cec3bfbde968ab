//! The registry as its callers see it: requests in, typed replies out.

use std::sync::Arc;

use actix::{Actor, Addr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::actor::RegistryActor;
use super::directory::TurnListing;
use super::error::RegistryError;
use super::inbox::Inbox;
use super::messages::{Drain, TakeMutations};
use super::mutation::{Mutation, SetPeerTier};
use super::pending::{Operation, Pending};
use super::pulse::Pulse;
use super::queries::{ListPeers, Peers, Status};
use super::relay::SentBytes;
use super::reply::{Allocation, Receipt, Released, Reported, SettingSaved};
use super::view::View;
use crate::clock::Clock;
use crate::protocol::{
    AllocateTurnRequest, HeartbeatRequest, PeerId, RegisterTurnServerRequest, ReleaseTurnRequest,
    ReportTurnUsageRequest, SetModeRequest, SetSpendRequest, Tier,
};
use crate::server::config::Config;
use crate::server::model::Registration;
use crate::server::progress::Progress;
use crate::server::storage::{FilesLost, Resumed, StorageError, Store};

/// A handle on the running registry; clones share it.
#[derive(Clone)]
pub(crate) struct Registry {
    addr: Addr<RegistryActor>,
    inbox: Inbox,
    view: View,
    permits: Arc<Semaphore>,
    pulse: Arc<Pulse>,
}

/// What the registry found when it started.
#[derive(Debug)]
pub(crate) struct Started {
    /// Registered peers, active or not.
    pub total_peers: usize,
    /// Peers whose lease has not run out.
    pub active_peers: usize,
    /// Outages credited.
    pub resumed: Resumed,
    /// Resolves when the actor is gone: with what became of its files if they were taken away, and
    /// with an error if it panicked or was drained.
    pub stopped: oneshot::Receiver<FilesLost>,
}

impl Registry {
    /// Takes up the leases in `store` and starts the actor on the current actix system.
    ///
    /// `sent` counts the bytes that the HTTP server sends, which cost money.
    pub(crate) async fn start(
        store: Store,
        clock: Arc<dyn Clock>,
        config: &Config,
        sent: SentBytes,
        progress: &Progress,
    ) -> Result<(Self, Started), StorageError> {
        let (alive, stopped) = oneshot::channel();
        let inbox = Inbox::new();
        let (actor, resumed) =
            RegistryActor::resume(store, clock, config, sent, inbox.clone(), alive, progress)
                .await?;
        let (total_peers, active_peers) = actor.peers();
        let view = actor.view();
        let registry = Self {
            pulse: actor.pulse(),
            addr: actor.start(),
            inbox,
            view,
            permits: Arc::new(Semaphore::new(config.http.max_in_flight)),
        };
        let started = Started {
            total_peers,
            active_peers,
            resumed,
            stopped,
        };
        Ok((registry, started))
    }

    /// Registers a peer, or replaces what it announced before. On return it is on disk.
    pub(crate) async fn register(
        &self,
        registration: Registration,
    ) -> Result<Receipt, RegistryError> {
        self.submit(registration, |it| Mutation::Register(Box::new(it)))
            .await
    }

    /// Renews a peer's lease. On return the renewal is on disk.
    pub(crate) async fn renew(&self, request: HeartbeatRequest) -> Result<Receipt, RegistryError> {
        self.submit(request, Mutation::Renew).await
    }

    /// Records a peer's offer to relay. On return it is on disk.
    pub(crate) async fn register_turn_server(
        &self,
        request: RegisterTurnServerRequest,
    ) -> Result<Receipt, RegistryError> {
        self.submit(request, |it| Mutation::OfferTurn(Box::new(it)))
            .await
    }

    /// Grants relay capacity, or refuses. On return a session is on disk.
    pub(crate) async fn allocate_turn(
        &self,
        request: AllocateTurnRequest,
    ) -> Result<Allocation, RegistryError> {
        self.submit(request, |it| Mutation::Allocate(Box::new(it)))
            .await
    }

    /// Ends a TURN session. On return that is on disk.
    pub(crate) async fn release_turn(
        &self,
        request: ReleaseTurnRequest,
    ) -> Result<Released, RegistryError> {
        self.submit(request, |it| Mutation::Release(Box::new(it)))
            .await
    }

    /// Counts what a TURN server has relayed. On return that is on disk.
    pub(crate) async fn report_turn_usage(
        &self,
        request: ReportTurnUsageRequest,
    ) -> Result<Reported, RegistryError> {
        self.submit(request, |it| Mutation::Report(Box::new(it)))
            .await
    }

    /// Saves what the operator says a peer may relay. On return that is on disk.
    pub(crate) async fn set_tier(
        &self,
        peer_id: PeerId,
        tier: Tier,
    ) -> Result<SettingSaved, RegistryError> {
        let request = SetPeerTier { peer_id, tier };
        self.submit(request, |it| Mutation::SetTier(Box::new(it)))
            .await
    }

    /// Saves what the cloud's bill says. On return that is on disk.
    pub(crate) async fn set_spend(
        &self,
        bill: SetSpendRequest,
    ) -> Result<SettingSaved, RegistryError> {
        self.submit(bill, |it| Mutation::SetSpend(Box::new(it)))
            .await
    }

    /// Forces a mode for a while, or ends that. On return that is on disk.
    pub(crate) async fn set_mode(
        &self,
        request: SetModeRequest,
    ) -> Result<SettingSaved, RegistryError> {
        self.submit(request, |it| Mutation::SetMode(Box::new(it)))
            .await
    }

    async fn submit<O: Operation>(
        &self,
        request: O,
        mutation_of: fn(Pending<O>) -> Mutation,
    ) -> Result<O::Reply, RegistryError> {
        let (pending, reply) = Pending::new(request, self.permit()?);
        if self.inbox.push(mutation_of(pending))? {
            self.addr.do_send(TakeMutations);
        }
        reply.await.unwrap_or(Err(RegistryError::Stopped))
    }

    /// Lists active peers.
    pub(crate) async fn list_peers(&self, query: &ListPeers) -> Result<Peers, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.list_peers(query).await)
    }

    /// Lists active TURN servers with room, `max` at most.
    pub(crate) async fn list_turn_servers(&self, max: usize) -> Result<TurnListing, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.list_turn_servers(max).await)
    }

    /// Tells how the registry is, however busy it is.
    pub(crate) async fn status(&self) -> Result<Status, RegistryError> {
        self.check()?;
        self.view.status().await
    }

    /// Nobody is told of a registry that no longer follows its database.
    fn check(&self) -> Result<(), RegistryError> {
        if self.inbox.is_closed() {
            return Err(RegistryError::Stopped);
        }
        Ok(())
    }

    /// What the actor is at; to be read without asking it.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Writes what waits, closes the database, and makes the actor of no further use.
    pub(crate) async fn drain(&self) -> Result<(), RegistryError> {
        let answer = self.addr.send(Drain).await;
        answer.unwrap_or(Err(RegistryError::Stopped))
    }

    /// actix mailboxes set no bound once their address is cloned, so this does.
    fn permit(&self) -> Result<OwnedSemaphorePermit, RegistryError> {
        Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| RegistryError::Overloaded)
    }
}
