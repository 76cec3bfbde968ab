//! Opens the database, or says why it must not be opened.

use std::path::Path;
use std::{fs, io};

use sqlx::migrate::MigrateError;
use sqlx::{Connection, SqliteConnection};

use super::StorageError;
use super::access::{self, Access, Handle, READING};
use super::file_names::companions;
use super::file_system;
use super::leftover;
use super::lock;
use super::open_error::OpenError;
use super::schema::{self, MIGRATIONS, Missing};
use super::store::Opened;

/// The first SQLite version in which resetting the write-ahead log cannot lose a commit.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The maximum size, in bytes, of a database that is rewritten so that it can shrink. The rewrite takes
/// about a second; a larger database stays as it is.
const MAX_CONVERTED_BYTES: i64 = 64 << 20;

/// SQLite's message about a value that violates a constraint of its column. It does not mean that
/// the file is damaged.
const VALUE_FAULT: &str = " value in ";

pub(crate) async fn open(path: &Path) -> Result<Opened, OpenError> {
    let opened = open_any(path).await;
    opened.map_err(|mut error| {
        if let OpenError::Stalled { path, reason } | OpenError::Unwritable { path, reason } =
            &mut error
            && let Some(kind) = file_system::network(path)
        {
            reason.push_str(&format!(" (it is on a network file system, {kind})"));
        }
        error
    })
}

async fn open_any(path: &Path) -> Result<Opened, OpenError> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder).map_err(|error| match is_missing(folder) {
            // It may be on a disk that is mounted later.
            true => OpenError::Stalled {
                path: path.to_owned(),
                reason: format!("its folder does not exist and cannot be created: {error}"),
            },
            false => OpenError::of_io(path, &error),
        })?;
    }
    if !path.exists() {
        // Before the lock creates the file.
        leftover::check(path, path).await?;
    }
    let file = lock::lock(path)?;
    let real = fs::canonicalize(path).map_err(|error| OpenError::of_io(path, &error))?;
    leftover::check(path, &real).await?;
    let (connection, access, mut notices) = match open_to_write(path, &real).await {
        Ok((connection, notices)) => (connection, Access::Full, notices),
        // Serving the stored peers is better than not starting.
        Err(error) => match open_to_read(path, &real, &error).await {
            Some((connection, access)) => {
                let notice = format!("serving reads only: {error}");
                (connection, access, vec![notice])
            }
            None => return Err(error),
        },
    };
    notices.extend(file_system::notice(&real));
    Ok(Opened {
        path: path.to_owned(),
        real,
        file,
        connection,
        access,
        notices,
    })
}

/// Whether the folder, or one above it, does not exist or is a symbolic link to nothing.
fn is_missing(folder: &Path) -> bool {
    let found = fs::metadata(folder);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Opens the file for reading and writing. Also returns notices for the operator.
async fn open_to_write(path: &Path, real: &Path) -> Result<(Handle, Vec<String>), OpenError> {
    check_before_writing(path, real).await?;
    let mut notices = lock::make_private(real);
    // The auto-vacuum mode must be set before the first table exists.
    let is_new = fs::metadata(real).is_ok_and(|file| file.len() == 0);
    let access = if is_new { Access::First } else { Access::Full };
    let mut connection = access::connect(real, access)
        .await
        .map_err(|error| OpenError::of_sqlite(path, &error))?;
    let opened = async {
        let mut created = Vec::new();
        // Without a record of the migrations, all of them would be applied again.
        if schema::lacks_versions(&mut connection)
            .await
            .map_err(|error| OpenError::of_sqlite(path, &error))?
        {
            created = restore_tables(&mut connection, path).await?;
        }
        migrate(&mut connection, path).await?;
        created.extend(restore_tables(&mut connection, path).await?);
        let converted = convert(&mut connection).await;
        let is_converted = converted.map_err(|error| OpenError::of_sqlite(path, &error))?;
        Ok((created, is_converted))
    };
    match opened.await {
        Ok((created, is_converted)) => {
            if is_converted {
                notices.push("wrote the database anew, so that it can shrink".to_owned());
            }
            let notice =
                |name| format!("the table {name} was missing in the database and was created anew");
            notices.extend(created.iter().map(notice));
        }
        Err(error) => {
            let _ = connection.close().await;
            return Err(error);
        }
    }
    Ok((connection, notices))
}

/// Creates the tables that an operator has dropped; returns their names. Everything in them can be
/// rebuilt, except the table `peers`.
async fn restore_tables(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Vec<String>, OpenError> {
    let restored = async {
        let mut transaction = connection.begin().await?;
        let restored = schema::restore(&mut transaction).await?;
        transaction.commit().await?;
        Ok::<_, StorageError>(restored)
    };
    match restored.await {
        Ok(Missing::Created(created)) => Ok(created),
        Ok(Missing::Peers) => Err(OpenError::Damaged {
            path: path.to_owned(),
            report: "its table peers is missing".to_owned(),
        }),
        Err(StorageError::Full(error) | StorageError::Database(error)) => {
            Err(OpenError::of_sqlite(path, &error))
        }
        Err(error) => Err(OpenError::Unwritable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// Opens for reading a database that could not be opened for writing because of `error`. Returns
/// `None` if it cannot be read either, or is not of this schema version.
async fn open_to_read(path: &Path, real: &Path, error: &OpenError) -> Option<(Handle, Access)> {
    let may_be_read = matches!(
        error,
        OpenError::Stalled { .. } | OpenError::Unwritable { .. }
    );
    if !may_be_read || fs::metadata(real).is_ok_and(|file| file.len() == 0) {
        return None;
    }
    for access in READING {
        let [log, _] = companions(real);
        let has_log = fs::metadata(log).is_ok_and(|log| log.len() > 0);
        // An immutable connection ignores the log, so it would miss the commits in it.
        if access == Access::Immutable && has_log {
            continue;
        }
        let Ok(mut connection) = access::connect(real, access).await else {
            continue;
        };
        if check(&mut connection, path).await.is_ok() && is_current(&mut connection).await {
            return Some((connection, access));
        }
        let _ = connection.close().await;
    }
    None
}

/// Opens for writing a database that could only be read until now.
pub(crate) async fn connect_to_write(real: &Path) -> Result<Handle, StorageError> {
    let connection = access::connect(real, Access::Full).await?;
    // The first attempt may have failed because the disk took no writes.
    lock::make_private(real);
    Ok(connection)
}

/// Whether the database has exactly the migrations of this version.
async fn is_current(connection: &mut SqliteConnection) -> bool {
    let found: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(connection)
            .await;
    found.is_ok_and(|found| MIGRATIONS.iter().map(|known| known.version).eq(found))
}

/// Rewrites a small database of an earlier version so that it can shrink. Returns whether it did.
async fn convert(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let (is_off, bytes): (bool, i64) = sqlx::query_as(
        "SELECT auto_vacuum = 0, page_count * page_size
         FROM pragma_auto_vacuum, pragma_page_count, pragma_page_size",
    )
    .fetch_one(&mut *connection)
    .await?;
    if is_off && bytes < MAX_CONVERTED_BYTES {
        sqlx::query("PRAGMA auto_vacuum = INCREMENTAL")
            .execute(&mut *connection)
            .await?;
        sqlx::query("VACUUM").execute(connection).await?;
    }
    Ok(is_off && bytes < MAX_CONVERTED_BYTES)
}

/// Checks the file before anything can change it. A missing or empty file passes.
async fn check_before_writing(path: &Path, real: &Path) -> Result<(), OpenError> {
    if fs::metadata(real).map_or(true, |file| file.len() == 0) {
        return Ok(());
    }
    let mut connection = access::connect_to_check(real)
        .await
        .map_err(|error| OpenError::of_sqlite(path, &error))?;
    let checked = check(&mut connection, path).await;
    let closed = connection.close().await;
    checked?;
    closed.map_err(|error| OpenError::of_sqlite(path, &error))
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let fault = |error: sqlx::Error| OpenError::of_sqlite(path, &error);
    // Checking the constraints of a million rows would take seconds. The load sets aside the rows
    // that violate them.
    sqlx::query("PRAGMA ignore_check_constraints = ON")
        .execute(&mut *connection)
        .await
        .map_err(fault)?;
    let report: Vec<String> = sqlx::query_scalar("PRAGMA quick_check")
        .fetch_all(&mut *connection)
        .await
        .map_err(fault)?;
    sqlx::query("PRAGMA ignore_check_constraints = OFF")
        .execute(&mut *connection)
        .await
        .map_err(fault)?;
    let is_damage = |line: &String| line != "ok" && !line.contains(VALUE_FAULT);
    if report.iter().any(is_damage) {
        return Err(OpenError::Damaged {
            path: path.to_owned(),
            report: report.join("; ").replace('\n', "; "),
        });
    }
    let lacks_versions = schema::lacks_versions(connection).await.map_err(fault)?;
    if lacks_versions && !schema::is_ours(connection).await.unwrap_or(false) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(())
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    check_sqlite_version(connection, path).await?;
    match MIGRATIONS.run(connection).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(OpenError::Newer {
            path: path.to_owned(),
            version,
        }),
        Err(MigrateError::VersionMismatch(_)) => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(OpenError::of_sqlite(path, &error))
        }
        Err(error) => Err(OpenError::Unwritable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

async fn check_sqlite_version(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await
        .map_err(|error| OpenError::of_sqlite(path, &error))?;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite { found });
    }
    Ok(())
}
