//! The interface of the registry to the HTTP handlers: requests in, typed replies out.

use std::sync::Arc;

use actix::{Actor, Addr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::actor::RegistryActor;
use super::directory::{Include, TurnListing};
use super::error::RegistryError;
use super::inbox::Inbox;
use super::messages::{Drain, TakeMutations};
use super::mutation::{Mutation, SetPeerTier};
use super::pending::{Operation, Pending};
use super::pulse::Pulse;
use super::queries::{FoundPeer, ListPeers, Peers, Status};
use super::relay::SentBytes;
use super::reply::{Allocation, Released, Renewed, Reported, SettingSaved};
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

/// A handle to the running registry; clones share it.
#[derive(Clone)]
pub(crate) struct Registry {
    addr: Addr<RegistryActor>,
    inbox: Inbox,
    view: View,
    permits: Arc<Semaphore>,
    pulse: Arc<Pulse>,
}

/// The state of the registry after its start.
#[derive(Debug)]
pub(crate) struct Started {
    /// Registered peers, active or not.
    pub total_peers: usize,
    /// Peers whose lease has not run out.
    pub active_peers: usize,
    /// Outages that were credited to the leases.
    pub resumed: Resumed,
    /// Resolves when the actor has stopped. If the database files were lost, the value says what
    /// was saved; if the actor panicked or was drained, it is an error.
    pub stopped: oneshot::Receiver<FilesLost>,
}

impl Registry {
    /// Resumes the leases in `store` and starts the actor on the current actix system.
    ///
    /// `sent` counts the bytes that the HTTP server sends, because outgoing traffic costs money.
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
            permits: Arc::new(Semaphore::new(config.registry.max_in_flight)),
        };
        let started = Started {
            total_peers,
            active_peers,
            resumed,
            stopped,
        };
        Ok((registry, started))
    }

    /// Registers a peer, or replaces its earlier registration. Returns once this is on disk.
    pub(crate) async fn register(
        &self,
        registration: Registration,
    ) -> Result<Renewed, RegistryError> {
        self.submit(registration, |it| Mutation::Register(Box::new(it)))
            .await
    }

    /// Renews the lease of a peer. Returns once this is on disk.
    pub(crate) async fn renew(&self, request: HeartbeatRequest) -> Result<Renewed, RegistryError> {
        self.submit(request, Mutation::Renew).await
    }

    /// Records a peer's offer to relay. Returns once this is on disk.
    pub(crate) async fn register_turn_server(
        &self,
        request: RegisterTurnServerRequest,
    ) -> Result<Renewed, RegistryError> {
        self.submit(request, |it| Mutation::OfferTurn(Box::new(it)))
            .await
    }

    /// Grants relay capacity, or refuses. Returns once a granted session is on disk.
    pub(crate) async fn allocate_turn(
        &self,
        request: AllocateTurnRequest,
    ) -> Result<Allocation, RegistryError> {
        self.submit(request, |it| Mutation::Allocate(Box::new(it)))
            .await
    }

    /// Ends a TURN session. Returns once this is on disk.
    pub(crate) async fn release_turn(
        &self,
        request: ReleaseTurnRequest,
    ) -> Result<Released, RegistryError> {
        self.submit(request, |it| Mutation::Release(Box::new(it)))
            .await
    }

    /// Counts the traffic that a TURN server reports. Returns once this is on disk.
    pub(crate) async fn report_turn_usage(
        &self,
        request: ReportTurnUsageRequest,
    ) -> Result<Reported, RegistryError> {
        self.submit(request, |it| Mutation::Report(Box::new(it)))
            .await
    }

    /// Saves the tier that the operator gives a peer. Returns once this is on disk.
    pub(crate) async fn set_tier(
        &self,
        peer_id: PeerId,
        tier: Tier,
    ) -> Result<SettingSaved, RegistryError> {
        let request = SetPeerTier { peer_id, tier };
        self.submit(request, |it| Mutation::SetTier(Box::new(it)))
            .await
    }

    /// Saves the amount of the cloud bill. Returns once this is on disk.
    pub(crate) async fn set_spend(
        &self,
        bill: SetSpendRequest,
    ) -> Result<SettingSaved, RegistryError> {
        self.submit(bill, |it| Mutation::SetSpend(Box::new(it)))
            .await
    }

    /// Forces a mode until a given time, or ends a forced mode. Returns once this is on disk.
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

    /// Finds an active peer.
    pub(crate) async fn find_peer(
        &self,
        peer_id: &PeerId,
        include: Include,
    ) -> Result<FoundPeer, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.find_peer(peer_id, include).await)
    }

    /// Lists active TURN servers with room, `max` at most.
    pub(crate) async fn list_turn_servers(&self, max: usize) -> Result<TurnListing, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.list_turn_servers(max).await)
    }

    /// Returns the status. It takes no permit, so that it works on an overloaded registry.
    pub(crate) async fn status(&self) -> Result<Status, RegistryError> {
        self.check()?;
        self.view.status().await
    }

    /// Refuses reads once the actor has stopped, because from then on nothing updates the state.
    fn check(&self) -> Result<(), RegistryError> {
        if self.inbox.is_closed() {
            return Err(RegistryError::Stopped);
        }
        Ok(())
    }

    /// The activity of the actor, which any thread can read without a message.
    pub(crate) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Writes all waiting mutations, closes the database and stops the actor.
    pub(crate) async fn drain(&self) -> Result<(), RegistryError> {
        let drained = self.addr.send(Drain).await;
        drained.unwrap_or(Err(RegistryError::Stopped))
    }

    /// Returns a permit, or an error if the maximum number of requests is in flight. The permits are
    /// needed because actix does not bound a mailbox whose address was cloned.
    fn permit(&self) -> Result<OwnedSemaphorePermit, RegistryError> {
        Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| RegistryError::Overloaded)
    }
}
