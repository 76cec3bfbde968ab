//! Reads the tables into memory, and writes batches that were planned on what is in memory.

use super::directory::{Directory, Filling, MAX_OWN_ROW_ID};
use super::journal;
use super::relay::{Relay, SentBytes};
use super::state::{Changed, Storage};
use super::view::View;
use crate::server::config::{CostConfig, SessionConfig};
use crate::server::model::Outage;
use crate::server::progress::Progress;
use crate::server::storage::{Changes, CommitOutcome, DataVersion, RelayRows, StorageError, Store};

/// What the peers of a table may take beyond the budget at a start, at most, in bytes.
const MAX_EXCESS_BYTES: usize = 64 << 20;

/// What a [`Relay`] is made with, besides its rows.
#[derive(Clone, Debug)]
pub(crate) struct RelayConfig {
    pub cost: CostConfig,
    pub sessions: SessionConfig,
    pub sent: SentBytes,
}

/// What a write leaves behind.
#[derive(Debug)]
pub(crate) enum Written {
    /// The batch is on disk.
    Committed,
    /// Nothing was written: the table may not equal the directory any more.
    Changed(Box<Changed>),
}

/// The tables as they are in memory.
#[derive(Debug)]
pub(crate) struct Tables {
    pub directory: Directory,
    pub relay: Relay,
    pub version: DataVersion,
    /// How many rows are in `peers_quarantine`.
    pub quarantined: u64,
    /// Whether memory holds all rows of the table.
    pub is_whole: bool,
}

/// Commits `changes`, or reads the tables that are small anew if memory may not equal the database.
/// What was in tables that are missing comes from `view`.
pub(crate) async fn commit_or_reload(
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
pub(crate) async fn load(
    store: &Store,
    relay_config: &RelayConfig,
    max_bytes: usize,
    now_ms: i64,
    progress: &Progress,
) -> Result<Tables, StorageError> {
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
    directory.set_loads(relay.sessions.loads());
    Ok(Tables {
        directory,
        relay,
        version: loaded.version,
        quarantined: loaded.quarantined,
        is_whole,
    })
}
