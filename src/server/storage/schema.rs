//! Recreates tables that an operator has dropped.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::migrate::{Migration, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};
use tokio::sync::OnceCell;

use super::StorageError;

/// All migrations, embedded in the program.
///
/// A database records their checksums, so their line endings must not depend on those of the files that
/// the program was built from.
pub(crate) static MIGRATIONS: LazyLock<Migrator> =
    LazyLock::new(|| with_unix_lines(sqlx::migrate!("./migrations")));

fn with_unix_lines(migrator: Migrator) -> Migrator {
    with_lines(migrator, |sql| sql.replace("\r\n", "\n"))
}

fn with_lines(migrator: Migrator, change: fn(&str) -> String) -> Migrator {
    let migrations = migrator.iter().map(|migration| {
        let sql = change(migration.sql.as_str());
        Migration::new(
            migration.version,
            migration.description.clone(),
            migration.migration_type,
            AssertSqlSafe(sql).into_sql_str(),
            migration.no_tx,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

/// The only table whose content cannot be rebuilt.
const PEERS: &str = "peers";

/// The table in which sqlx records the migrations of a database.
const VERSIONS: &str = "_sqlx_migrations";

/// What all migrations together create.
#[derive(Debug)]
struct Schema {
    /// Tables first.
    objects: Vec<Object>,
    /// The content of [`VERSIONS`].
    versions: Vec<Version>,
}

/// A migration that was applied.
#[derive(Debug, sqlx::FromRow)]
struct Version {
    version: i64,
    description: String,
    success: bool,
    checksum: Vec<u8>,
    execution_time: i64,
}

/// A table, an index or a view, as the migrations create it.
#[derive(Debug, sqlx::FromRow)]
struct Object {
    kind: String,
    name: String,
    /// The table that an index belongs to.
    of_table: String,
    statement: String,
}

/// Which tables were missing.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The table `peers`. Nothing was created.
    Peers,
    /// The names of other tables and views, now created. May be empty.
    Created(Vec<String>),
}

/// Whether the database has tables, but no record of its migrations.
pub(crate) async fn lacks_versions(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) > 0 AND NOT count(*) FILTER (WHERE name = ?) FROM sqlite_schema",
    )
    .bind(VERSIONS)
    .fetch_one(connection)
    .await
}

/// Whether the tables of a database without a record of its migrations are those of this version:
/// it has the table `peers`, and no table of ours has another form.
pub(crate) async fn is_ours(connection: &mut SqliteConnection) -> Result<bool, StorageError> {
    let query = "SELECT name, sql FROM sqlite_schema WHERE type = 'table'";
    let found: Vec<(String, String)> = sqlx::query_as(query).fetch_all(connection).await?;
    let found: HashMap<String, String> = found.into_iter().collect();
    let is_same = |object: &Object| {
        let statement = found.get(&object.name);
        statement.is_none_or(|statement| *statement == object.statement)
    };
    Ok(found.contains_key(PEERS) && expected().await?.objects.iter().all(is_same))
}

/// Creates the missing tables and views, with their indexes.
pub(crate) async fn restore(connection: &mut SqliteConnection) -> Result<Missing, StorageError> {
    let found: HashSet<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema")
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
    if !found.contains(PEERS) {
        return Ok(Missing::Peers);
    }
    let mut created = Vec::new();
    let schema = expected().await?;
    for object in &schema.objects {
        let is_missing = match object.kind.as_str() {
            "index" => created.contains(&object.of_table),
            _ => !found.contains(&object.name),
        };
        if is_missing {
            sqlx::query(AssertSqlSafe(object.statement.as_str()))
                .execute(&mut *connection)
                .await?;
            if object.kind != "index" {
                created.push(object.name.clone());
            }
        }
    }
    if created.iter().any(|name| name == VERSIONS) {
        put_versions(connection, &schema.versions).await?;
    }
    Ok(Missing::Created(created))
}

async fn put_versions(
    connection: &mut SqliteConnection,
    versions: &[Version],
) -> Result<(), StorageError> {
    for version in versions {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(version.version)
        .bind(&version.description)
        .bind(version.success)
        .bind(&version.checksum)
        .bind(version.execution_time)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What all migrations together create.
async fn expected() -> Result<&'static Schema, StorageError> {
    static EXPECTED: OnceCell<Schema> = OnceCell::const_new();
    let expected = EXPECTED.get_or_try_init(|| async {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut memory = options.disable_statement_logging().connect().await?;
        MIGRATIONS
            .run(&mut memory)
            .await
            .map_err(sqlx::Error::from)?;
        let objects = sqlx::query_as(
            "SELECT type AS kind, name, tbl_name AS of_table, sql AS statement
             FROM sqlite_schema WHERE sql IS NOT NULL
             ORDER BY type <> 'table', type",
        )
        .fetch_all(&mut memory)
        .await?;
        let versions = sqlx::query_as(
            "SELECT version, description, success, checksum, execution_time FROM _sqlx_migrations",
        )
        .fetch_all(&mut memory)
        .await?;
        memory.close().await?;
        Ok::<_, StorageError>(Schema { objects, versions })
    });
    expected.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_from_files_with_other_line_endings_has_the_same_checksums() {
        let built = sqlx::migrate!("./migrations");
        let windows = with_lines(sqlx::migrate!("./migrations"), |sql| {
            sql.replace('\n', "\r\n")
        });
        let windows = with_unix_lines(windows);
        let checksums = |migrator: &Migrator| {
            let checksums = migrator.iter().map(|migration| migration.checksum.to_vec());
            checksums.collect::<Vec<_>>()
        };
        assert_eq!(checksums(&windows), checksums(&MIGRATIONS));
        assert_eq!(
            checksums(&built),
            checksums(&MIGRATIONS),
            "the files have Unix lines"
        );
    }
}
