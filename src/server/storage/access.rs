//! Ways to connect to the database.

use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite};

/// How long a write waits for an operator's own write to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of write-ahead log, of 4 KiB each, after which it is moved into the database file.
///
/// Heartbeats rewrite the same pages over and over; the longer the log, the more of those writes
/// are merged before they reach the file: with half of it a heartbeat costs 5 % more. But the longer
/// it is, the more there is to read after a crash. 8,000 pages take 32 MiB; what has come together in
/// a tenth of a lease is moved in any case.
pub(crate) const CHECKPOINT_PAGES: &str = "8000";

/// Memory for cached pages: negative is KiB. It bounds what a large table costs in memory.
const PAGE_CACHE: &str = "-8192";

/// Results that wait to be taken from SQLite's thread. A load takes a hundred rows in each.
const WAITING_RESULTS: usize = 4;

/// The connection of a pool that has no other.
pub(crate) type Handle = PoolConnection<Sqlite>;

/// What a connection can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read and write, beside operators.
    Full,
    /// The same, to a file that is empty yet.
    First,
    /// Read, without creating a file: the index of the log is in memory, and operators wait.
    Alone,
    /// Read a file that nobody can change, and that has no log.
    Immutable,
}

/// The ways to read a database that cannot be written, in the order of what they take for granted.
pub(crate) const READING: [Access; 2] = [Access::Alone, Access::Immutable];

/// Opens a connection to the file at `path`.
///
/// It is the only one of its pool, and lives until it is closed, since its `data_version` must.
pub(crate) async fn connect(path: &Path, access: Access) -> Result<Handle, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(WAITING_RESULTS)
        .pragma("cache_size", PAGE_CACHE)
        // A statement that may fail half-way keeps a journal, by default in a file of its own.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let options = match access {
        Access::Full => options,
        // A new file gives room back without being written anew as a whole. To say so writes.
        Access::First => options.auto_vacuum(SqliteAutoVacuum::Incremental),
        Access::Alone => options
            .locking_mode(SqliteLockingMode::Exclusive)
            .pragma("query_only", "ON"),
        Access::Immutable => options.read_only(true).immutable(true),
    };
    let options = match access {
        Access::Full | Access::First => options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            // A log that one burst made long does not stay long.
            .pragma("journal_size_limit", "67108864"),
        Access::Alone | Access::Immutable => options,
    };
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    let mut connection = pool.acquire().await?;
    // Dropped half-way, it must not come back with its transaction open.
    connection.close_on_drop();
    Ok(connection)
}

/// Opens a connection that cannot change the file, whatever the file is: merely to open a database
/// for writing may switch its journal mode.
pub(crate) async fn connect_to_check(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
}
