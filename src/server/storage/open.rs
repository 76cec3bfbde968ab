//! Opens the database, or says why this one must not be opened.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use super::Store;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The first SQLite without the bug by which a reset of the write-ahead log could lose a commit.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a write waits for an operator's own write to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages of write-ahead log, of 4 KiB each, after which it is moved into the database file.
///
/// Heartbeats rewrite the same pages over and over; the longer the log, the more of those writes
/// are merged before they reach the file. 10,000 pages take 40 MiB of disk.
const CHECKPOINT_PAGES: &str = "10000";

/// Memory for cached pages: negative is KiB. It bounds what a large table costs in memory.
const PAGE_CACHE: &str = "-8192";

/// Why a database was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder cannot be created, read or written.
    #[error(
        "the database {path} (DATABASE_URL) cannot be opened for writing: {reason}; check that \
         its folder exists or can be created, and that this user may write there"
    )]
    Unwritable {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Another process has it.
    #[error(
        "the database {path} (DATABASE_URL) is in use by another peer-registry; stop that one, \
         or give this one a database of its own"
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{path} (DATABASE_URL) is not a database of peer-registry and was left as it is; move it \
         away, or name another file"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "the database {path} (DATABASE_URL) is damaged and was left as it is: {report}; restore a \
         backup, or move it away to start empty: live nodes register again by themselves"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite found.
        report: String,
    },
    /// The file was written by a later version.
    #[error(
        "the database {path} (DATABASE_URL) was written by a newer peer-registry (its schema \
         version {version} is unknown here) and was left as it is; run that version, or restore a \
         backup from before the upgrade"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The unknown migration.
        version: i64,
    },
    /// The program was built with a SQLite that can lose commits.
    #[error("SQLite {found} is too old: 3.51.3 or later is needed")]
    OldSqlite {
        /// The version found.
        found: String,
    },
}

pub(super) async fn open(path: &Path) -> Result<Store, OpenError> {
    let path = path.to_owned();
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder).map_err(|error| unwritable(&path, &error))?;
    }
    let lock = lock(&path)?;
    check_before_writing(&path).await?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", PAGE_CACHE)
        // A statement that may fail half-way keeps a journal, by default in a file of its own.
        .pragma("temp_store", "MEMORY")
        // A log that one burst made long does not stay long.
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging();
    // The one connection lives as long as the process, since its `data_version` must.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|error| explain(&path, &error))?;
    let migrated = migrate(&pool, &path).await;
    if let Err(error) = migrated {
        pool.close().await;
        return Err(error);
    }
    Ok(Store {
        pool,
        path,
        lock: Arc::new(lock),
    })
}

fn unwritable(path: &Path, error: &dyn std::error::Error) -> OpenError {
    OpenError::Unwritable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

/// Keeps a second registry away from the file. SQLite's own locks would let both write in turn,
/// and each would list peers that the other has removed.
fn lock(path: &Path) -> Result<File, OpenError> {
    // By whatever name it is called; a file that is not there yet has its folder's only.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = real.into_os_string();
    name.push(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(name)
        .map_err(|error| unwritable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(unwritable(path, &error)),
    }
}

/// Looks at a file, if there is one, in a way that cannot change it: merely to open a database for
/// writing may switch its journal mode.
async fn check_before_writing(path: &Path) -> Result<(), OpenError> {
    if fs::metadata(path).map_or(true, |file| file.len() == 0) {
        return Ok(());
    }
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|error| explain(path, &error))?;
    let checked = check(&mut connection, path).await;
    let closed = connection.close().await;
    checked?;
    closed.map_err(|error| explain(path, &error))
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let report: Vec<String> = sqlx::query_scalar("PRAGMA quick_check")
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| explain(path, &error))?;
    if report != ["ok"] {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            report: report.join("; "),
        });
    }
    let is_foreign: bool = sqlx::query_scalar(
        "SELECT count(*) > 0 AND NOT count(*) FILTER (WHERE name = '_sqlx_migrations')
         FROM sqlite_schema",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| explain(path, &error))?;
    if is_foreign {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(())
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    check_sqlite_version(pool, path).await?;
    match MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(OpenError::Newer {
            path: path.to_owned(),
            version,
        }),
        Err(MigrateError::VersionMismatch(_)) => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
        Err(error) => Err(unwritable(path, &error)),
    }
}

async fn check_sqlite_version(pool: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(pool)
        .await
        .map_err(|error| explain(path, &error))?;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite { found });
    }
    Ok(())
}

/// Turns SQLite's primary result codes into what an operator can act on.
fn explain(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(11) => OpenError::Damaged {
            path,
            report: error.to_string(),
        },
        Some(26) => OpenError::Foreign { path },
        _ => OpenError::Unwritable {
            path,
            reason: error.to_string(),
        },
    }
}
