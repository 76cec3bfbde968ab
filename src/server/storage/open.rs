//! Opens the database, or says why this one must not be opened.

use std::fs;
use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::{Connection, SqliteConnection};

use super::StorageError;
use super::access::{self, Access, Handle, READING};
use super::lock;
use super::open_error::OpenError;
use super::schema::{self, MIGRATIONS, Missing};
use super::store::Opened;

/// The first SQLite without the bug by which a reset of the write-ahead log could lose a commit.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The largest database that is written anew so that it can give room back, in bytes. It takes a
/// second or so; a larger one stays as it is.
const MAX_CONVERTED_BYTES: i64 = 64 << 20;

/// What SQLite says of a value that breaks the rules of its column, which is no damage to the file.
const VALUE_FAULT: &str = " value in ";

pub(crate) async fn open(path: &Path) -> Result<Opened, OpenError> {
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder).map_err(|error| OpenError::of_io(path, &error))?;
    }
    let file = lock::lock(path)?;
    let real = fs::canonicalize(path).map_err(|error| OpenError::of_io(path, &error))?;
    let (connection, access, notices) = match open_to_write(path, &real).await {
        Ok((connection, notices)) => (connection, Access::Full, notices),
        Err(error) => match open_to_read(path, &real, &error).await {
            Some((connection, access)) => {
                let notice = format!("serving reads only: {error}");
                (connection, access, vec![notice])
            }
            None => return Err(error),
        },
    };
    Ok(Opened {
        path: path.to_owned(),
        real,
        file,
        connection,
        access,
        notices,
    })
}

/// Opens the file for all that the registry does; says what an operator should know of it.
async fn open_to_write(path: &Path, real: &Path) -> Result<(Handle, Vec<String>), OpenError> {
    check_before_writing(path, real).await?;
    let mut notices = lock::make_private(real);
    let is_new = fs::metadata(real).is_ok_and(|file| file.len() == 0);
    let access = if is_new { Access::First } else { Access::Full };
    let mut connection = access::connect(real, access)
        .await
        .map_err(|error| OpenError::of_sqlite(path, &error))?;
    let opened = async {
        migrate(&mut connection, path).await?;
        let created = restore_tables(&mut connection, path).await?;
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

/// Creates the tables that somebody has dropped; returns their names. What the peers need of them they
/// get again, but the peers themselves are in one table only.
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

/// Opens a database of this version that cannot be written, as `error` says, for reading; `None` if
/// it cannot be read either.
async fn open_to_read(path: &Path, real: &Path, error: &OpenError) -> Option<(Handle, Access)> {
    let may_be_read = matches!(
        error,
        OpenError::Stalled { .. } | OpenError::Unwritable { .. }
    );
    if !may_be_read || fs::metadata(real).is_ok_and(|file| file.len() == 0) {
        return None;
    }
    for access in READING {
        let [log, _] = lock::companions(real);
        let has_log = fs::metadata(log).is_ok_and(|log| log.len() > 0);
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

/// Opens a database that was read only until now for writing.
pub(crate) async fn connect_to_write(real: &Path) -> Result<Handle, StorageError> {
    let connection = access::connect(real, Access::Full).await?;
    // Open to others until now, perhaps, as nothing could be written.
    lock::make_private(real);
    Ok(connection)
}

/// Whether all migrations were carried out, and no other ones.
async fn is_current(connection: &mut SqliteConnection) -> bool {
    let found: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(connection)
            .await;
    found.is_ok_and(|found| MIGRATIONS.iter().map(|known| known.version).eq(found))
}

/// Lets a small database of an earlier version give room back; tells whether it could not before.
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

/// Looks at a file, if there is one, in a way that cannot change it.
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
    // The checks of a million rows would take seconds. Rows that break them are set aside later.
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
    let is_foreign: bool = sqlx::query_scalar(
        "SELECT count(*) > 0 AND NOT count(*) FILTER (WHERE name = '_sqlx_migrations')
         FROM sqlite_schema",
    )
    .fetch_one(connection)
    .await
    .map_err(fault)?;
    if is_foreign {
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
