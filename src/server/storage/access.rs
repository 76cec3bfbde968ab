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

/// The length of the write-ahead log, in pages of 4 KiB, at which the registry moves it into the
/// database file. SQLite does not do so by itself, because it would not verify the log before.
///
/// Heartbeats rewrite the same pages again and again. A longer log merges more of these writes
/// before they reach the file: with half this length, a heartbeat costs 5 % more. But a longer log
/// takes longer to read after a crash. 8,000 pages are 32 MiB; the registry also moves the log
/// every tenth of a lease, however short the log is.
pub(crate) const CHECKPOINT_PAGES: u32 = 8000;

/// Memory for cached pages, per connection; negative values are KiB. It bounds what a large table
/// costs in memory.
const PAGE_CACHE: &str = "-8192";

/// The maximum number of results in the queue between SQLite's thread and ours. A result of a load
/// holds a hundred rows.
const WAITING_RESULTS: usize = 4;

/// The only connection of its pool.
pub(crate) type Handle = PoolConnection<Sqlite>;

/// What a connection can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads and writes, while operators may use the file too.
    Full,
    /// The same, for a file that is still empty.
    First,
    /// Reads only and creates no file: the index of the log is in memory, and operators have to
    /// wait.
    Alone,
    /// Reads a file that no process can change and that has no log.
    Immutable,
}

/// The ways to read a database that cannot be written. The one with the fewest assumptions is
/// first.
pub(crate) const READING: [Access; 2] = [Access::Alone, Access::Immutable];

/// Opens a connection to the file at `path`.
///
/// It is the only connection of its pool and is never recycled, because `data_version` means
/// something only within one connection.
pub(crate) async fn connect(path: &Path, access: Access) -> Result<Handle, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(WAITING_RESULTS)
        .pragma("cache_size", PAGE_CACHE)
        // A statement that may fail half-way keeps a journal. By default the journal is a file.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let options = match access {
        Access::Full => options,
        // With this, a new file can give free pages back without a full `VACUUM`. Only new files
        // get it here, because setting it writes.
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
            .pragma("wal_autocheckpoint", "0")
            // Shrinks the log again after a burst has made it long. In bytes: 64 MiB.
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
    // If the work is dropped half-way, the connection must not return with an open transaction.
    connection.close_on_drop();
    Ok(connection)
}

/// Opens a connection that cannot change the file, whatever it is. Opening a foreign database for
/// writing may already switch its journal mode.
pub(crate) async fn connect_to_check(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
}
