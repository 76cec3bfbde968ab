//! Recreates tables that an operator has dropped.

use std::collections::HashSet;
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
    let migrations = migrator.iter().map(|migration| {
        let sql = migration.sql.as_str().replace("\r\n", "\n");
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
    for object in expected().await? {
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
    Ok(Missing::Created(created))
}

/// Everything that all migrations together create, tables first.
async fn expected() -> Result<&'static [Object], StorageError> {
    static EXPECTED: OnceCell<Vec<Object>> = OnceCell::const_new();
    let expected = EXPECTED.get_or_try_init(|| async {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut memory = options.disable_statement_logging().connect().await?;
        MIGRATIONS
            .run(&mut memory)
            .await
            .map_err(sqlx::Error::from)?;
        let objects = sqlx::query_as(
            "SELECT type AS kind, name, tbl_name AS of_table, sql AS statement
             FROM sqlite_schema WHERE sql IS NOT NULL AND name <> '_sqlx_migrations'
             ORDER BY type <> 'table', type",
        )
        .fetch_all(&mut memory)
        .await?;
        memory.close().await?;
        Ok::<_, StorageError>(objects)
    });
    Ok(expected.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_from_files_with_other_line_endings_has_the_same_checksums() {
        let built = sqlx::migrate!("./migrations");
        let windows = built.iter().map(|migration| {
            let sql = migration.sql.as_str().replace('\n', "\r\n");
            Migration::new(
                migration.version,
                migration.description.clone(),
                migration.migration_type,
                AssertSqlSafe(sql).into_sql_str(),
                migration.no_tx,
            )
        });
        let windows = with_unix_lines(Migrator::with_migrations(windows.collect()));
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
