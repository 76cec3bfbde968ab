//! The tables in memory, and the writing that keeps the two equal.

use crate::server::config::{CostConfig, SessionConfig};
use crate::server::policy::lease::Outage;
use crate::server::progress::Progress;
use crate::server::registry::directory::{Directory, Filling, MAX_OWN_ROW_ID};
use crate::server::registry::journal;
use crate::server::registry::relay::{Relay, SentBytes};
use crate::server::registry::state::{Changed, Storage};
use crate::server::registry::view::View;
use crate::server::storage::{Changes, CommitOutcome, DataVersion, RelayRows, StorageError, Store};

/// What the peers of a table may take beyond the budget at a start, at most, in bytes.
const MAX_EXCESS_BYTES: usize = 64 << 20;

/// What the view of what was granted is made with.
#[derive(Clone, Debug)]
pub(super) struct RelayConfig {
    pub(super) cost: CostConfig,
    pub(super) sessions: SessionConfig,
    pub(super) sent: SentBytes,
}

/// What a write leaves behind.
#[derive(Debug)]
pub(in super::super) enum Written {
    /// The batch is on disk.
    Committed,
    /// Nothing was written: the table may not equal the directory any more.
    Changed(Box<Changed>),
}

/// The tables as they are in memory.
#[derive(Debug)]
pub(super) struct Views {
    pub(super) directory: Directory,
    pub(super) relay: Relay,
    pub(super) version: DataVersion,
    /// How many rows are in `peers_quarantine`.
    pub(super) quarantined: u64,
    /// Whether memory holds all rows of the table.
    pub(super) is_whole: bool,
}

/// Carries out `changes`, unless the directory may not equal the table. What was in tables that are
/// missing comes from `view`.
pub(super) async fn write(
    store: &Store,
    changes: &Changes,
    storage: Storage,
    relay_config: &RelayConfig,
    view: &View,
) -> Result<Written, StorageError> {
    let memory = || view.read().memory();
    let credited = match storage {
        Storage::Works(version) => {
            if store.commit(changes, version).await? == CommitOutcome::Done {
                return Ok(Written::Committed);
            }
            None
        }
        Storage::Fails { since_ms } => {
            // To write first is cheap, and shows whether it is worth reading the table.
            let outage = Outage {
                from_ms: since_ms,
                until_ms: changes.now_ms,
            };
            store.recover(&outage, memory).await?;
            Some(outage)
        }
    };
    let first_day = Relay::first_day(changes.now_ms);
    let (loaded, max_row_id) = store
        .begin_resync(changes.now_ms, first_day, MAX_OWN_ROW_ID, memory)
        .await?;
    journal::set_aside(&loaded.set_aside);
    let version = loaded.version;
    Ok(Written::Changed(Box::new(Changed {
        relay: relay_config.relay(loaded.relay),
        quarantined: loaded.quarantined,
        max_row_id,
        version,
        credited,
    })))
}

impl RelayConfig {
    fn relay(&self, rows: RelayRows) -> Relay {
        Relay::load(rows, self.cost.clone(), self.sessions, self.sent.clone())
    }
}

/// Reads all tables, as far as there is memory for the peers: those whose leases run out first are
/// removed if there is not.
pub(super) async fn load(
    store: &Store,
    relay_config: &RelayConfig,
    max_bytes: usize,
    now_ms: i64,
    progress: &Progress,
) -> Result<Views, StorageError> {
    // A little more than while it runs, where peers may exceed the budget a little: whoever had a place
    // keeps it over a restart.
    let mut filling = Filling::new(max_bytes + (max_bytes / 8).min(MAX_EXCESS_BYTES));
    let add = |row| filling.add(&row);
    let loaded = store
        .load(now_ms, add, Relay::first_day(now_ms), progress)
        .await?;
    journal::set_aside(&loaded.set_aside);
    let (mut directory, shed) = filling.finish();
    let mut is_whole = true;
    if !shed.is_empty() {
        journal::shed(shed.len(), max_bytes);
        // With rows that memory does not hold, the start goes on as if writes failed.
        is_whole = store.delete_rows(&shed).await.is_ok();
    }
    let mut relay = relay_config.relay(loaded.relay);
    relay.end_on_missing(now_ms, |server_id| directory.is_turn_server(server_id));
    directory.set_loads(relay.sessions().loads());
    Ok(Views {
        directory,
        relay,
        version: loaded.version,
        quarantined: loaded.quarantined,
        is_whole,
    })
}
