//! All SQL of the registry, over one SQLite connection.
//!
//! The registry commits in groups: a [`Changes`] is everything one transaction does, set by set
//! rather than row by row. `synchronous=FULL` makes a commit survive kill -9 and power loss.

mod batch;
mod cost;
mod open;
mod peers;
mod sessions;
mod turn;
mod uptime;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection, SqlitePool};

use crate::protocol::{PeerId, Tier, TurnOffer};
use crate::server::model::{DayTraffic, StoredPeer, TurnSession};
use crate::server::policy::cost::CostState;
use crate::server::policy::lease::Outage;

pub use open::OpenError;
pub use uptime::Resumed;

/// The database; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
    lock: Arc<File>,
}

/// A number that changes when somebody else writes to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataVersion(i64);

/// Everything that one transaction does, in this order.
#[derive(Debug, Default)]
pub struct Changes {
    /// The moment of the transaction, in Unix milliseconds; every lease it touches starts here.
    pub now_ms: i64,
    /// Whether to record that the registry is alive, as every transaction does that writes.
    pub is_alive: bool,
    /// Outages to record that the process lived through.
    pub outages: Vec<Outage>,
    /// The cleanup to run before anything else.
    pub cleanup: Option<Cleanup>,
    /// Peers to insert, or to overwrite but for `registered_at`.
    pub registrations: Vec<StoredPeer>,
    /// Rows whose TURN offer alone changes.
    pub turn_offers: Vec<(i64, TurnOffer)>,
    /// Rows whose lease alone is renewed, in order, each once.
    pub renewals: Vec<i64>,
    /// What changes of TURN sessions and of what they cost.
    pub relay: RelayChanges,
}

/// What one transaction changes of TURN sessions and of what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelayChanges {
    /// Sessions to insert or to overwrite, each once.
    pub sessions: Vec<TurnSession>,
    /// Sessions to forget, each once.
    pub forgotten: Vec<Arc<str>>,
    /// What to add to the traffic of days, which are counted from 1970-01-01, each once.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set, each peer once.
    pub tiers: Vec<(PeerId, Tier)>,
    /// How tight the registry is now, if that has changed.
    pub state: Option<CostState>,
}

/// What is known of TURN sessions and of what they cost.
#[derive(Debug, Default)]
pub struct RelayRows {
    /// All sessions that are not forgotten.
    pub sessions: Vec<TurnSession>,
    /// The traffic of the days that were asked for.
    pub traffic: Vec<(i64, DayTraffic)>,
    /// Tiers that the operator has set.
    pub tiers: Vec<(PeerId, Tier)>,
    /// How tight the registry was.
    pub state: CostState,
}

/// A removal of the peers whose lease has run out.
#[derive(Debug)]
pub struct Cleanup {
    /// It removes peers last seen before this moment, in Unix milliseconds.
    pub cutoff_ms: i64,
    /// Of these it removes the ones before this place in the order of `last_seen` and row: the rest
    /// is for the next cleanup, so that none takes long.
    pub before: (i64, i64),
    /// Rows that it spares, in ascending order: their peers sent one of these very changes.
    pub spared: Vec<i64>,
    /// How many rows it must find.
    pub expected: usize,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The changes are on disk; if there were none, the data is still at the version given.
    Done,
    /// Somebody else has written to the database since the version given; nothing was changed.
    ChangedOutside,
}

/// A read or write that failed; nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// SQLite or the file system refused.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
    /// A row holds what the registry cannot have written.
    #[error("peer {peer_id:?} has an unreadable {column}: {reason}")]
    Row {
        /// The row's `peer_id`.
        peer_id: String,
        /// The column at fault.
        column: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Store {
    /// Opens the database at `path`, creating the file and its folder if needed.
    ///
    /// # Errors
    /// Says which file stands in the way of a start, why, and what to do; never overwrites one.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        open::open(path).await
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes up the leases where the last process left them; credits the time since as an outage.
    pub async fn resume(&self, now_ms: i64, timeout_ms: i64) -> Result<Resumed, StorageError> {
        self.run(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let resumed = uptime::resume(&mut transaction, now_ms, timeout_ms).await?;
            transaction.commit().await?;
            Ok(resumed)
        })
        .await
    }

    /// Hands every peer to `each`; returns the rest, with the traffic since `first_day`, and the
    /// version of the data.
    pub async fn load(
        &self,
        each: impl FnMut(StoredPeer),
        first_day: i64,
    ) -> Result<(RelayRows, DataVersion), StorageError> {
        self.run(async |connection| {
            let mut transaction = connection.begin().await?;
            peers::load(&mut transaction, each).await?;
            let relay = load_relay(&mut transaction, first_day).await?;
            let version = batch::data_version(&mut transaction).await?;
            transaction.rollback().await?;
            Ok((relay, version))
        })
        .await
    }

    /// What a comparison of the table with memory begins with: everything but the peers, the highest
    /// row below `max_row_id`, and the version of the data.
    pub async fn begin_resync(
        &self,
        first_day: i64,
        max_row_id: i64,
    ) -> Result<(RelayRows, i64, DataVersion), StorageError> {
        self.run(async |connection| {
            let mut transaction = connection.begin().await?;
            let relay = load_relay(&mut transaction, first_day).await?;
            let last_row_id = peers::max_row_id(&mut transaction, max_row_id).await?;
            let version = batch::data_version(&mut transaction).await?;
            transaction.rollback().await?;
            Ok((relay, last_row_id, version))
        })
        .await
    }

    /// The rows of some peers.
    pub async fn read_peers(&self, ids: &[PeerId]) -> Result<Vec<StoredPeer>, StorageError> {
        self.run(async |connection| peers::read_peers(connection, ids).await)
            .await
    }

    /// Up to `max` rows behind a key, in order of their keys.
    pub async fn read_rows(&self, after: i64, max: usize) -> Result<Vec<StoredPeer>, StorageError> {
        self.run(async |connection| peers::read_rows(connection, after, max).await)
            .await
    }

    /// Carries out `changes` in one transaction, unless the data is no longer at `version`.
    pub async fn commit(
        &self,
        changes: &Changes,
        version: DataVersion,
    ) -> Result<CommitOutcome, StorageError> {
        self.run(async |connection| {
            if changes.is_alive {
                batch::commit(connection, changes, version).await
            } else {
                batch::check(connection, version).await
            }
        })
        .await
    }

    /// Takes up the leases after writes have failed, which credits the time since as an outage.
    pub async fn recover(&self, outage: &Outage) -> Result<(), StorageError> {
        self.run(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            uptime::credit(&mut transaction, outage).await?;
            sqlx::query(uptime::MARK_ALIVE)
                .bind(outage.until_ms)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    /// Does some work on the connection, which is thrown away if that fails: without it, whatever
    /// became of a transaction is undone, and the next one starts afresh.
    async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut connection = self.pool.acquire().await?;
        let result = work(&mut connection).await;
        if result.is_err() {
            // That it may also fail to close adds nothing to the error at hand.
            let _ = connection.close().await;
        }
        result
    }

    /// Moves the write-ahead log into the database file and lets go of both.
    pub async fn close(&self) -> Result<(), StorageError> {
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&self.pool)
            .await;
        self.pool.close().await;
        let unlocked = self.lock.unlock().map_err(sqlx::Error::from);
        checkpoint?;
        Ok(unlocked?)
    }
}

/// Everything about relaying, with the traffic since `first_day`.
async fn load_relay(
    connection: &mut SqliteConnection,
    first_day: i64,
) -> Result<RelayRows, StorageError> {
    let mut relay = RelayRows {
        traffic: cost::load_traffic(connection, first_day).await?,
        tiers: sessions::load_tiers(connection).await?,
        state: cost::load_state(connection).await?,
        ..RelayRows::default()
    };
    sessions::load(connection, |session| relay.sessions.push(session)).await?;
    Ok(relay)
}
