//! The tables in memory, and the writing that keeps the two equal.

use crate::server::config::{CostConfig, SessionConfig};
use crate::server::policy::lease::Outage;
use crate::server::registry::directory::{Directory, MAX_OWN_ROW_ID};
use crate::server::registry::relay::{Relay, SentBytes};
use crate::server::registry::state::{Changed, Storage};
use crate::server::storage::{Changes, CommitOutcome, DataVersion, RelayRows, StorageError, Store};

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
pub(in super::super) struct Views {
    pub(super) directory: Directory,
    pub(super) relay: Relay,
}

/// Carries out `changes`, unless the directory may not equal the table.
pub(super) async fn write(
    store: &Store,
    changes: &Changes,
    storage: Storage,
    relay_config: &RelayConfig,
) -> Result<Written, StorageError> {
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
            store.recover(&outage).await?;
            Some(outage)
        }
    };
    let first_day = Relay::first_day(changes.now_ms);
    let (rows, max_row_id, version) = store.begin_resync(first_day, MAX_OWN_ROW_ID).await?;
    Ok(Written::Changed(Box::new(Changed {
        relay: relay_config.relay(rows),
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

pub(super) async fn load(
    store: &Store,
    relay_config: &RelayConfig,
    now_ms: i64,
) -> Result<(Views, DataVersion), StorageError> {
    let mut directory = Directory::new();
    let put = |row| directory.put(&row);
    let (rows, version) = store.load(put, Relay::first_day(now_ms)).await?;
    let relay = relay_config.relay(rows);
    directory.set_loads(relay.sessions().loads());
    Ok((Views { directory, relay }, version))
}
