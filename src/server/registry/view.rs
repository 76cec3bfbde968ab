//! Serves reads on the threads of the readers.
//!
//! A reader holds a shared lock on the state while it collects a page, and many readers hold it at
//! once. The actor receives no message for a read, so reads cannot delay it by their number. It
//! takes the exclusive lock only briefly, to change the state, and has priority over waiting readers.
//! benches/README.md compares this with reads as messages to the actor.

use std::sync::{
    Arc, Mutex as SyncMutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    TryLockError,
};
use std::time::Duration;

use tokio::sync::Mutex;

use super::directory::{Include, TurnListing};
use super::error::RegistryError;
use super::queries::{FoundPeer, ListPeers, Peers, Status};
use super::recent_readers::RecentReaders;
use super::state::{State, Storage};
use crate::clock::Clock;
use crate::protocol::PeerId;
use crate::server::policy::cost::ModeLimits;
use crate::server::policy::selection::{Extent, PageStart};

/// How long the status waits for the lock before it reports that the registry is stuck.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// If the database refuses the registrations of this many different peers, and takes none in
/// between, it refuses everyone.
pub(crate) const MAX_REFUSED_IN_A_ROW: usize = 3;

/// The pause between two attempts of the status to get the lock.
const STATUS_PAUSE: Duration = Duration::from_millis(5);

/// How long the status waits for a transaction to end before it shows the sessions as of the
/// beginning of that transaction. Most transactions take less than a tenth of this.
const RELAY_TIMEOUT: Duration = Duration::from_millis(100);

/// The pause between two steps in which a reader brings the state up to date.
const ADVANCE_PAUSE: Duration = Duration::from_millis(1);

/// The state; clones share it.
#[derive(Clone)]
pub(crate) struct View {
    state: Arc<RwLock<State>>,
    /// Held by the reader that brings the state up to date, so that at most one reader competes
    /// with the actor for the lock.
    advancing: Arc<Mutex<()>>,
    readers: Arc<SyncMutex<RecentReaders>>,
    clock: Arc<dyn Clock>,
}

impl View {
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::new(RwLock::new(state)),
            advancing: Arc::default(),
            readers: Arc::default(),
            clock,
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        // If the actor panics while it holds the lock, its closed mailbox reports that. The state that
        // it left can still be read.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, RecentReaders> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn list_peers(&self, query: &ListPeers) -> Peers {
        let now_ms = self.advance().await;
        let state = self.read();
        let mut membership = state.directory.membership(&query.extent, now_ms);
        let mut bounds = query.bounds;
        // A strict mode lists fewer peers to save traffic, but only to readers that list them again
        // and again: whoever reads one page only would never see the others.
        let limits = ModeLimits::of(state.relay.mode(now_ms));
        if let Some(max_listed) = limits.max_listed
            && !query.known.contains(&membership)
            && !matches!(query.extent, Extent::Page(PageStart::After { .. }))
            && self.readers().is_repeated(query.reader, now_ms)
        {
            membership = membership.of_short_page();
            bounds.max_peers = bounds.max_peers.min(max_listed);
        }
        let listing = (!query.known.contains(&membership)).then(|| {
            let (filter, extent) = (&query.filter, &query.extent);
            let directory = &state.directory;
            directory.list_peers(filter, extent, query.include, bounds, now_ms)
        });
        Peers {
            membership,
            listing,
            total_registered: state.directory.registered(),
            now_ms,
        }
    }

    pub(crate) async fn find_peer(&self, peer_id: &PeerId, include: Include) -> FoundPeer {
        let now_ms = self.advance().await;
        let peer = self.read().directory.find_active(peer_id.as_str(), include);
        FoundPeer { peer, now_ms }
    }

    pub(crate) async fn list_turn_servers(&self, max: usize) -> TurnListing {
        let now_ms = self.advance().await;
        self.read().directory.list_turn_servers(max, now_ms)
    }

    /// Returns the status, or an error after [`STATUS_TIMEOUT`], so that health checks get a
    /// response.
    pub(crate) async fn status(&self) -> Result<Status, RegistryError> {
        let pauses = |limit: Duration| limit.div_duration_f64(STATUS_PAUSE) as u32;
        for pause in 0..pauses(STATUS_TIMEOUT) {
            // An attempt that does not block lets a health check time out even if the lock is never
            // freed.
            match self.state.try_write() {
                Ok(state)
                    if pause < pauses(RELAY_TIMEOUT)
                        && state.is_relay_held_back(self.clock.now_ms()) =>
                {
                    drop(state);
                    tokio::time::sleep(STATUS_PAUSE).await;
                }
                Ok(state) => return Ok(self.status_of(state)),
                Err(TryLockError::Poisoned(state)) => return Ok(self.status_of(state.into_inner())),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(STATUS_PAUSE).await,
            }
        }
        Err(RegistryError::Stuck)
    }

    fn status_of(&self, mut state: RwLockWriteGuard<'_, State>) -> Status {
        let now_ms = self.clock.now_ms();
        state.advance(now_ms);
        Status {
            total_peers: state.directory.registered(),
            active_peers: state.directory.active(),
            turn_servers: state.directory.turn_servers(),
            peer_bytes: state.directory.bytes() + state.relay.bytes(),
            uptime_secs: u64::try_from((now_ms - state.started_ms) / 1000).unwrap_or(0),
            counters: state.counters.clone(),
            cost: state.relay.status(now_ms),
            rows_set_aside: state.quarantined,
            is_degraded: matches!(state.storage, Storage::Fails { .. }),
            refuses_registrations: state.refused_in_a_row.len() >= MAX_REFUSED_IN_A_ROW,
            now_ms,
        }
    }

    /// Brings the state up to date and returns the time. If many peers expire together, they are
    /// removed in steps, so that other work runs in between. No reader lists a peer that has
    /// expired: it waits here until the last step is done.
    async fn advance(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        if self.is_up_to(now_ms) {
            return now_ms;
        }
        let _advancing = self.advancing.lock().await;
        // Another reader may have done the work while this one waited.
        let mut now_ms = self.clock.now_ms();
        if self.is_up_to(now_ms) {
            return now_ms;
        }
        loop {
            self.write().advance(now_ms);
            now_ms = self.clock.now_ms();
            if self.read().is_current(now_ms) {
                return now_ms;
            }
            // The lock is not fair to other writers: without a pause the actor might never get it.
            tokio::time::sleep(ADVANCE_PAUSE).await;
            now_ms = self.clock.now_ms();
        }
    }

    fn is_up_to(&self, now_ms: i64) -> bool {
        let state = self.read();
        state.is_current(now_ms) && !state.is_relay_stale(now_ms)
    }
}
