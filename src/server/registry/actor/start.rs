//! How the actor starts from the tables.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::registry_actor::RegistryActor;
use crate::clock::{self, Clock};
use crate::server::config::{Config, SessionConfig};
use crate::server::policy::uptime;
use crate::server::progress::Progress;
use crate::server::registry::inbox::Inbox;
use crate::server::registry::journal::Journal;
use crate::server::registry::pulse::Pulse;
use crate::server::registry::relay::{SESSION_BYTES, SentBytes};
use crate::server::registry::resync::Comparison;
use crate::server::registry::state::{State, Storage};
use crate::server::registry::tables::{self, RelayConfig, Tables};
use crate::server::registry::view::View;
use crate::server::resident;
use crate::server::storage::{FilesLost, Resumed, StorageError, Store};

impl RegistryActor {
    /// Makes the actor from the tables, and resumes the leases.
    pub(crate) async fn resume(
        store: Store,
        clock: Arc<dyn Clock>,
        config: &Config,
        sent: SentBytes,
        inbox: Inbox,
        alive: oneshot::Sender<FilesLost>,
        progress: &Progress,
    ) -> Result<(Self, Resumed), StorageError> {
        let resident_bytes_before = resident::bytes().unwrap_or(0);
        let now_ms = clock.now_ms();
        let lease = config.registry;
        let timeout_ms = lease.peer_timeout_ms();
        let decide = |before, now_ms| uptime::resume(before, now_ms, timeout_ms);
        let resumed = store.resume(now_ms, timeout_ms, decide).await?;
        let relay_config = relay_config(config, sent);
        let max_bytes = lease.max_memory_bytes;
        let Tables {
            directory,
            relay,
            version,
            quarantined,
            is_whole,
        } = tables::load(&store, &relay_config, max_bytes, now_ms, progress).await?;
        // If the last process could not write, that outage is not over until a write succeeds.
        let storage = match resumed.stalled_since_ms {
            Some(since_ms) => Storage::Fails { since_ms },
            None if is_whole => Storage::Works(version),
            None => Storage::Fails { since_ms: now_ms },
        };
        let outages = resumed.leases.outages.clone();
        let mut state = State::new(
            directory,
            relay,
            storage,
            lease,
            outages,
            resident_bytes_before,
            now_ms,
        );
        state.quarantined = quarantined;
        catch_up(&mut state, clock.now_ms());
        let actor = Self {
            store,
            view: View::new(state, Arc::clone(&clock)),
            clock,
            config: lease,
            relay_config,
            inbox,
            maintenance: Vec::new(),
            unreported_removals: 0,
            is_io_under_way: false,
            comparison: Comparison::default(),
            retried: VecDeque::new(),
            no_cleanup_until_ms: i64::MIN,
            journal: Journal::default(),
            pulse: Arc::new(Pulse::new(clock::machine_ms())),
            drained: None,
            alive: Some(alive),
            is_checking_files: false,
            is_rescuing: false,
            closing: None,
        };
        Ok((actor, resumed))
    }
}

fn relay_config(config: &Config, sent: SentBytes) -> RelayConfig {
    // Ended sessions take memory, and must not leave too little of it for new peers.
    let max_ended = config.registry.max_memory_bytes / 8 / SESSION_BYTES;
    RelayConfig {
        cost: config.cost.clone(),
        sessions: SessionConfig {
            max_ended: config.sessions.max_ended.min(max_ended),
            ..config.sessions
        },
        sent,
    }
}

/// Brings a loaded state up to date.
fn catch_up(state: &mut State, now_ms: i64) {
    if let Storage::Works(_) = state.storage {
        state.credit_load(now_ms);
    }
    while !state.is_current(now_ms) {
        state.advance(now_ms);
    }
    state.advance(now_ms);
}
