//! Writes everything that is known to a new file when the old one is lost.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::access::{self, Access, CHECKPOINT_PAGES};
use super::file_names::companions;
use super::loaded::Memory;
use super::lock::PRIVATE;
use super::schema::MIGRATIONS;
use super::{StorageError, batch, uptime};
use crate::clock::rfc3339;
use crate::server::model::StoredPeer;

/// What the name of a rescue file has after the name of the database.
pub(crate) const INFIX: &str = ".rescued-";

/// The maximum number of rescue files with the same time stamp. No rescue overwrites another.
const MAX_RESCUES: u32 = 100;

/// What the registry knows and writes to the new file.
pub(crate) struct RescueData<P> {
    /// The time of the rescue, in Unix milliseconds.
    pub now_ms: i64,
    /// The last time at which writes worked, in Unix milliseconds.
    pub alive_at_ms: i64,
    /// Everything except the peers.
    pub memory: Memory,
    /// Returns the next chunk of peers, and `None` after the last.
    pub peers: P,
}

/// Copies everything that `connection` sees to a new file beside the database at `real`.
pub(crate) async fn copy(
    connection: &mut SqliteConnection,
    real: &Path,
    now_ms: i64,
) -> Result<PathBuf, StorageError> {
    let target = create(real, now_ms).map_err(sqlx::Error::from)?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(part_of(&target).to_string_lossy().into_owned())
        .execute(connection)
        .await;
    finish(target, copied.map(drop).map_err(Into::into))
}

/// Writes everything in memory to a new file beside the database at `real`.
pub(crate) async fn write<P>(
    real: &Path,
    timeout_ms: i64,
    known: RescueData<P>,
) -> Result<PathBuf, StorageError>
where
    P: FnMut() -> Option<Vec<StoredPeer>>,
{
    let target = create(real, known.now_ms).map_err(sqlx::Error::from)?;
    let written = fill(&part_of(&target), timeout_ms, known).await;
    finish(target, written)
}

async fn fill<P>(target: &Path, timeout_ms: i64, known: RescueData<P>) -> Result<(), StorageError>
where
    P: FnMut() -> Option<Vec<StoredPeer>>,
{
    let mut connection = access::connect(target, Access::First).await?;
    let written = async {
        MIGRATIONS
            .run(&mut *connection)
            .await
            .map_err(sqlx::Error::from)?;
        // Nobody else knows this log, so SQLite may move it by itself.
        let checkpoints = format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}");
        sqlx::query(AssertSqlSafe(checkpoints))
            .execute(&mut *connection)
            .await?;
        // Faster; `finish` syncs the file once at the end.
        sqlx::query("PRAGMA synchronous = OFF")
            .execute(&mut *connection)
            .await?;
        // An operator may have written rows with the checks turned off. The registry has read them,
        // so it must be able to write them.
        sqlx::query("PRAGMA ignore_check_constraints = ON")
            .execute(&mut *connection)
            .await?;
        sqlx::query("INSERT INTO registry_state (id, alive_at, peer_timeout_ms) VALUES (1, ?, ?)")
            .bind(known.alive_at_ms)
            .bind(timeout_ms)
            .execute(&mut *connection)
            .await?;
        uptime::put_outages(&mut connection, &known.memory.outages).await?;
        batch::put_relay(&mut connection, known.memory.relay).await?;
        batch::put_claims(&mut connection, &known.memory.claims).await?;
        let mut peers = known.peers;
        while let Some(peers) = peers() {
            batch::put_peers(&mut connection, &peers).await?;
        }
        Ok(())
    };
    let written: Result<(), StorageError> = written.await;
    // Closing moves the log into the file.
    let closed = connection.close().await;
    written?;
    Ok(closed?)
}

/// The name of a rescue file until it is complete. Anybody would take an incomplete file with the
/// final name for a complete one, e.g. after a kill.
fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Syncs the new file and gives it its final name. On an error, removes it.
fn finish(target: PathBuf, written: Result<(), StorageError>) -> Result<PathBuf, StorageError> {
    let part = part_of(&target);
    let named = written.and_then(|()| Ok(sync(&part, &target).map_err(sqlx::Error::from)?));
    if let Err(error) = named {
        let [log, index] = companions(&part);
        for path in [&part, &log, &index] {
            let _ = fs::remove_file(path);
        }
        return Err(error);
    }
    Ok(target)
}

/// Creates an empty file for a rescue, under the name of [`part_of`]. Returns the final name. Other
/// users cannot read it.
fn create(real: &Path, now_ms: i64) -> io::Result<PathBuf> {
    let stamp = rfc3339(now_ms)[..19].replace(['-', ':'], "");
    if let Some(folder) = real.parent() {
        fs::create_dir_all(folder)?;
    }
    for number in 1..=MAX_RESCUES {
        let mut name = real.as_os_str().to_owned();
        name.push(format!("{INFIX}{stamp}Z"));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let target = PathBuf::from(name);
        let created = File::options()
            .create_new(true)
            .write(true)
            .mode(PRIVATE)
            .open(part_of(&target));
        match created {
            Ok(_) if !target.exists() => return Ok(target),
            Ok(_) => fs::remove_file(part_of(&target))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Syncs the file `part` and its directory entry, which becomes `target`.
fn sync(part: &Path, target: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, target)?;
    match target.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
