//! The tables in memory, and the writing that keeps the two equal.

use crate::server::config::CostConfig;
use crate::server::policy::lease::Outage;
use crate::server::progress::Progress;
use crate::server::registry::directory::Directory;
use crate::server::registry::journal;
use crate::server::registry::relay::{Relay, SentBytes};
use crate::server::storage::{Changes, CommitOutcome, DataVersion, StorageError, Store};

use super::Storage;

/// What the view of what was granted is made with.
#[derive(Clone, Debug)]
pub(super) struct RelayConfig {
    pub(super) cost: CostConfig,
    pub(super) sent: SentBytes,
}

/// What a write leaves behind.
#[derive(Debug)]
pub(in super::super) enum Written {
    /// The batch is on disk.
    Committed,
    /// The batch is to be planned again on a table that was read anew, since it had been changed
    /// from outside or had failed.
    Reloaded {
        views: Box<Views>,
        version: DataVersion,
        /// The outage that is over.
        credited: Option<Outage>,
    },
}

/// The tables as they are in memory.
#[derive(Debug)]
pub(in super::super) struct Views {
    pub(super) directory: Directory,
    pub(super) relay: Relay,
}

/// Carries out `changes`, or, where the directory may not equal the table, reads the table anew.
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
    let progress = Progress::default();
    let (views, version) = load(store, relay_config, changes.now_ms, &progress).await?;
    Ok(Written::Reloaded {
        views: Box::new(views),
        version,
        credited,
    })
}

pub(super) async fn load(
    store: &Store,
    relay_config: &RelayConfig,
    now_ms: i64,
    progress: &Progress,
) -> Result<(Views, DataVersion), StorageError> {
    let mut directory = Directory::new();
    let put = |row| directory.put(&row);
    let loaded = store
        .load(now_ms, put, Relay::first_day(now_ms), progress)
        .await?;
    journal::set_aside(&loaded);
    let RelayConfig { cost, sent } = relay_config.clone();
    let relay = Relay::load(loaded.relay, cost, sent);
    for (server_id, load) in relay.sessions().loads() {
        directory.set_load(server_id, load);
    }
    Ok((Views { directory, relay }, loaded.version))
}
