//! Reads the tables into memory, and writes planned batches.

use super::claims::Claims;
use super::directory::{Directory, Filling, MAX_OWN_ROW_ID};
use super::journal;
use super::relay::{Relay, SentBytes};
use super::state::{Changed, Storage};
use super::view::View;
use crate::server::config::{CostConfig, SessionConfig};
use crate::server::model::Outage;
use crate::server::progress::Progress;
use crate::server::storage::{Changes, CommitOutcome, DataVersion, RelayRows, StorageError, Store};

/// At a start, the peers may exceed the memory budget by at most this many bytes.
const MAX_EXCESS_BYTES: usize = 64 << 20;

/// What a [`Relay`] needs besides its rows.
#[derive(Clone, Debug)]
pub(crate) struct RelayConfig {
    pub cost: CostConfig,
    pub sessions: SessionConfig,
    pub sent: SentBytes,
}

/// The result of a write.
#[derive(Debug)]
pub(crate) enum Written {
    /// The batch is on disk.
    Committed,
    /// Nothing was written, because the table may differ from the directory.
    Changed(Box<Changed>),
}

/// The tables in memory.
#[derive(Debug)]
pub(crate) struct Tables {
    pub directory: Directory,
    pub relay: Relay,
    pub claims: Claims,
    pub version: DataVersion,
    /// The number of rows in `peers_quarantine`.
    pub quarantined: u64,
    /// Whether memory holds all rows of the table.
    pub is_whole: bool,
}

/// Commits `changes`. If memory may differ from the database, it reads the small tables again
/// instead. Missing tables are written from `view`.
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
            // A write is cheap, and shows whether reading the table is worth trying.
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
        claims: Claims::of(loaded.claims),
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

/// Reads all tables. If the peers do not fit into memory, it removes those whose leases run out
/// first.
pub(crate) async fn load(
    store: &Store,
    relay_config: &RelayConfig,
    max_bytes: usize,
    now_ms: i64,
    progress: &Progress,
) -> Result<Tables, StorageError> {
    // The limit is a little higher than while the registry runs: a running registry may exceed its
    // budget slightly, and a restart should not remove those peers.
    let excess_bytes = (max_bytes / 8).min(MAX_EXCESS_BYTES);
    let mut filling = Filling::new(max_bytes + excess_bytes, max_bytes - excess_bytes / 2);
    let add = |row| filling.add(&row);
    let loaded = store
        .load(now_ms, add, Relay::first_day(now_ms), progress)
        .await?;
    journal::set_aside(&loaded.set_aside);
    let (mut directory, removed_to_fit) = filling.finish();
    let mut is_whole = true;
    if !removed_to_fit.is_empty() {
        journal::removed_to_fit(removed_to_fit.len(), max_bytes);
        // If the rows cannot be deleted, the table differs from memory. The registry then starts as
        // if writes failed, and compares the two once writes work.
        is_whole = store.delete_rows(&removed_to_fit).await.is_ok();
    }
    let mut relay = relay_config.relay(loaded.relay);
    relay.end_on_missing(now_ms, |server_id| directory.is_turn_server(server_id));
    directory.set_loads(relay.sessions.loads());
    Ok(Tables {
        directory,
        relay,
        claims: Claims::of(loaded.claims),
        version: loaded.version,
        quarantined: loaded.quarantined,
        is_whole,
    })
}
