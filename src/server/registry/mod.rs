//! The registry: one actor, its queue, and its view of what is on disk.

mod actor;
mod batch;
mod counters;
mod directory;
mod inbox;
mod journal;
mod messages;
mod pulse;
mod relay;
mod resync;
mod state;
mod view;

use std::sync::Arc;

use actix::{Actor, Addr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::clock::Clock;
use crate::protocol::{
    AllocateTurnRequest, PeerId, ReleaseTurnRequest, ReportTurnUsageRequest, SetModeRequest,
    SetSpendRequest, Tier, TurnOffer,
};
use crate::server::config::Config;
use crate::server::model::Registration;
use crate::server::progress::Progress;
use crate::server::storage::{FilesLost, Resumed, StorageError, Store};

use actor::RegistryActor;
use batch::Mutation;
use inbox::Inbox;
use messages::{Drain, TakeMutations, Ticket};
use view::View;

pub use directory::{Bounds, Include, ListedEntry, Membership, PeerListing, TurnListing};
pub use messages::{Accepted, ListPeers, Peers, RelayOutcome, RelayReply, Reply, Status};
pub use pulse::{Pulse, Stuck};
pub use relay::{CostStatus, Granted, SentBytes};

/// Why the registry did not do what it was asked; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The peer is not registered.
    #[error("the peer is not registered")]
    UnknownPeer,
    /// The peer holds no such TURN session.
    #[error("the peer holds no live TURN session of this sessionId")]
    UnknownSession,
    /// There is no room for another peer.
    #[error("the registry is full")]
    RegistryFull,
    /// As much work is in flight as may be.
    #[error("the registry is overloaded")]
    Overloaded,
    /// The database takes no writes.
    #[error("the database takes no writes")]
    StorageUnavailable,
    /// The actor is gone.
    #[error("the registry has stopped")]
    Stopped,
    /// The actor has not moved for some time.
    #[error("the registry is stuck")]
    Stuck,
}

/// A handle on the running registry; clones share it.
#[derive(Clone)]
pub struct Registry {
    addr: Addr<RegistryActor>,
    inbox: Inbox,
    view: View,
    permits: Arc<Semaphore>,
    pulse: Arc<Pulse>,
}

/// What the registry found when it started.
#[derive(Debug)]
pub struct Started {
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
    pub async fn start(
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
    pub async fn register(&self, registration: Registration) -> Result<Accepted, RegistryError> {
        let mutation = Mutation::Register(Box::new(registration));
        Ok(self.mutate(mutation).await?.accepted)
    }

    /// Renews a peer's lease. On return the renewal is on disk.
    pub async fn renew(&self, peer_id: PeerId) -> Result<Accepted, RegistryError> {
        Ok(self.mutate(Mutation::Renew(peer_id)).await?.accepted)
    }

    /// Records a peer's offer to relay. On return it is on disk.
    pub async fn register_turn_server(
        &self,
        peer_id: PeerId,
        offer: TurnOffer,
    ) -> Result<Accepted, RegistryError> {
        let mutation = Mutation::OfferTurn(peer_id, offer);
        Ok(self.mutate(mutation).await?.accepted)
    }

    /// Grants relay capacity, or refuses. On return a session is on disk.
    pub async fn allocate_turn(
        &self,
        request: AllocateTurnRequest,
    ) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::Allocate(Box::new(request))).await
    }

    /// Ends a TURN session. On return that is on disk.
    pub async fn release_turn(&self, request: ReleaseTurnRequest) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::Release(Box::new(request))).await
    }

    /// Takes up what a TURN server has relayed. On return that is on disk.
    pub async fn report_turn_usage(
        &self,
        request: ReportTurnUsageRequest,
    ) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::Report(Box::new(request))).await
    }

    /// Notes what the operator says a peer may relay. On return that is on disk.
    pub async fn set_tier(&self, peer_id: PeerId, tier: Tier) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::SetTier(peer_id, tier)).await
    }

    /// Notes what the cloud's bill says. On return that is on disk.
    pub async fn set_spend(&self, bill: SetSpendRequest) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::SetSpend(bill)).await
    }

    /// Forces a mode for a while, or ends that. On return that is on disk.
    pub async fn set_mode(&self, request: SetModeRequest) -> Result<Reply, RegistryError> {
        self.mutate(Mutation::SetMode(request)).await
    }

    async fn mutate(&self, mutation: Mutation) -> Result<Reply, RegistryError> {
        let permit = self.permit()?;
        let (reply, answer) = oneshot::channel();
        if self.inbox.push(mutation, Ticket { reply, permit })? {
            self.addr.do_send(TakeMutations);
        }
        answer.await.unwrap_or(Err(RegistryError::Stopped))
    }

    /// Lists active peers.
    pub async fn list_peers(&self, query: &ListPeers) -> Result<Peers, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.list_peers(query).await)
    }

    /// Lists active TURN servers with room, `max` at most.
    pub async fn list_turn_servers(&self, max: usize) -> Result<TurnListing, RegistryError> {
        let _permit = self.permit()?;
        self.check()?;
        Ok(self.view.list_turn_servers(max).await)
    }

    /// Tells how the registry is, however busy it is.
    pub async fn status(&self) -> Result<Status, RegistryError> {
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
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Writes what waits, closes the database, and makes the actor of no further use.
    pub async fn drain(&self) -> Result<(), RegistryError> {
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
