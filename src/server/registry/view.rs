//! Answers those who read, on the threads that ask.
//!
//! A reader looks at the state under a lock that many hold at once, for as long as it takes to
//! collect a page. The actor never sees a read, so no number of them can hold it up; it takes the
//! lock for itself for the moment in which it changes the state after a commit, and comes first
//! when readers wait, too. Measured beside reads as messages of the actor: see benches/README.md.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::Duration;

use tokio::sync::Mutex;

use super::directory::{Bounds, TurnListing};
use super::error::RegistryError;
use super::queries::{ListPeers, Peers, Status};
use super::state::{State, Storage};
use crate::clock::Clock;
use crate::server::policy::cost::ModeLimits;

/// How long the status waits for the state before it says that the registry is stuck.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits between two looks.
const STATUS_PAUSE: Duration = Duration::from_millis(5);

/// How long the status waits for a transaction to end before it shows sessions as they were when the
/// transaction began. Most take less than a tenth of this.
const RELAY_PATIENCE: Duration = Duration::from_millis(100);

/// How long a reader leaves the state alone between two steps of bringing it up to now.
const ADVANCE_PAUSE: Duration = Duration::from_millis(1);

/// The state; clones share it.
#[derive(Clone)]
pub(crate) struct View {
    state: Arc<RwLock<State>>,
    /// Held by the reader that brings the state up to now, so that one at most competes with the
    /// actor for the state.
    advancing: Arc<Mutex<()>>,
    clock: Arc<dyn Clock>,
}

impl View {
    pub(crate) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::new(RwLock::new(state)),
            advancing: Arc::default(),
            clock,
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        // A panic of the actor is told by its mailbox; what it left behind is no worse to read.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn list_peers(&self, query: &ListPeers) -> Peers {
        let now_ms = self.advance().await;
        let state = self.read();
        let membership = state.directory.membership(&query.extent, now_ms);
        let limits = ModeLimits::of(state.relay.mode(now_ms));
        let max_listed = limits.max_listed.unwrap_or(usize::MAX);
        let bounds = Bounds {
            max_peers: max_listed.min(query.bounds.max_peers),
            ..query.bounds
        };
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

    pub(crate) async fn list_turn_servers(&self, max: usize) -> TurnListing {
        let now_ms = self.advance().await;
        self.read().directory.list_turn_servers(max, now_ms)
    }

    /// Tells how the registry is, and never waits for long.
    pub(crate) async fn status(&self) -> Result<Status, RegistryError> {
        let pauses = |patience: Duration| patience.div_duration_f64(STATUS_PAUSE) as u32;
        for pause in 0..pauses(STATUS_PATIENCE) {
            match self.state.try_write() {
                Ok(state)
                    if pause < pauses(RELAY_PATIENCE)
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
            now_ms,
        }
    }

    /// Brings the state up to now, which it returns. Peers that have run out together cease to be
    /// listed bit by bit, with whatever else waits done in between; nobody is told of them
    /// meanwhile.
    async fn advance(&self) -> i64 {
        let now_ms = self.clock.now_ms();
        if self.is_up_to(now_ms) {
            return now_ms;
        }
        let _advancing = self.advancing.lock().await;
        // Another reader may have done it meanwhile.
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
            // The lock is not fair: without a pause the actor might never get it.
            tokio::time::sleep(ADVANCE_PAUSE).await;
            now_ms = self.clock.now_ms();
        }
    }

    fn is_up_to(&self, now_ms: i64) -> bool {
        let state = self.read();
        state.is_current(now_ms) && !state.is_relay_stale(now_ms)
    }
}
