//! One transaction for all that waits.
//!
//! Every trip to the connection's thread and back costs as much as several heartbeats, and leaves
//! a core idle meanwhile. So a batch is one script, from `BEGIN` to `COMMIT`, in which each statement
//! is followed by a guard: a query that fails, and with it the script, unless the statement
//! has touched the rows it was meant to.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, Type};

use super::{
    Changes, CommitOutcome, RelayChanges, RelayRows, StorageError, cost, peers, sessions, turn,
    uptime,
};
use crate::server::model::StoredPeer;

/// Fails if somebody else has written to the database. SQLite has no `RAISE` outside of triggers,
/// but tells which path it could not make sense of.
const UNCHANGED: &str = "
SELECT json_extract('{}', 'the database was changed from outside')
FROM pragma_data_version WHERE data_version <> ?;";

/// What the guards say of a statement that touched other rows than planned.
const NOT_AS_PLANNED: &str = ", not as many as planned";

/// Carries out `changes` as the transaction of number `batch`.
///
/// On an error nothing of it holds, unless the error is one of the disk: then the commit may yet
/// stand in the log, see [`settle`](super::settle).
pub(crate) async fn commit(
    connection: &mut SqliteConnection,
    changes: &Changes,
    version: i64,
    batch: i64,
) -> Result<CommitOutcome, StorageError> {
    let script = Script::of(changes, version, batch);
    let result = sqlx::query_with(AssertSqlSafe(script.sql), script.arguments)
        .execute(&mut *connection)
        .await;
    let Err(error) = result else {
        return Ok(CommitOutcome::Done);
    };
    // What is left of the transaction, if anything.
    let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    let error = refused_row(error);
    if error.stops_writes() {
        return Err(error);
    }
    match check(connection, version).await? {
        // Whatever the script ran into, it was made for other data.
        CommitOutcome::ChangedOutside => Ok(CommitOutcome::ChangedOutside),
        CommitOutcome::Done => Err(error),
    }
}

/// A guard that fails tells of a row that somebody else's trigger has kept from being written.
fn refused_row(error: sqlx::Error) -> StorageError {
    let is_guard = error
        .as_database_error()
        .is_some_and(|error| error.message().contains(NOT_AS_PLANNED));
    if is_guard {
        StorageError::Constraint(error)
    } else {
        error.into()
    }
}

/// Tells whether the data is still at `version`.
pub(crate) async fn check(
    connection: &mut SqliteConnection,
    version: i64,
) -> Result<CommitOutcome, StorageError> {
    if data_version(connection).await? == version {
        Ok(CommitOutcome::Done)
    } else {
        Ok(CommitOutcome::ChangedOutside)
    }
}

pub(crate) async fn data_version(connection: &mut SqliteConnection) -> Result<i64, StorageError> {
    let version = sqlx::query_scalar("PRAGMA data_version")
        .fetch_one(connection)
        .await?;
    Ok(version)
}

/// Inserts peers in a transaction of their own.
pub(crate) async fn put_peers(
    connection: &mut SqliteConnection,
    rows: &[StoredPeer],
) -> Result<(), StorageError> {
    let mut script = Script::default();
    script.add("BEGIN IMMEDIATE;");
    script.put("the peers", peers::REGISTER, rows, peers::row_of);
    script.add("COMMIT;");
    script.execute(connection).await
}

/// Inserts what is known of TURN sessions and of what they cost. There must be no traffic yet on the
/// days that it has, as traffic is added.
pub(crate) async fn put_relay(
    connection: &mut SqliteConnection,
    rows: RelayRows,
) -> Result<(), StorageError> {
    let mut script = Script::default();
    script.relay(&RelayChanges {
        sessions: rows.sessions,
        forgotten: Vec::new(),
        traffic: rows.traffic,
        tiers: rows.tiers,
        state: Some(rows.state),
    });
    script.execute(connection).await
}

/// SQL and its parameters, which it takes in a row.
#[derive(Default)]
struct Script {
    sql: String,
    arguments: SqliteArguments,
}

impl Script {
    fn of(changes: &Changes, version: i64, batch: i64) -> Self {
        let mut script = Self::default();
        script.add("BEGIN IMMEDIATE;");
        script.add(UNCHANGED);
        script.bind(version);
        script.add(uptime::MARK_ALIVE);
        script.bind(changes.now_ms);
        script.bind(batch);
        for outage in &changes.outages {
            script.add(uptime::CREDIT);
            script.bind(outage.from_ms);
            script.bind(outage.until_ms);
        }
        if let Some(cleanup) = &changes.cleanup {
            script.add(peers::CLEANUP);
            let (last_seen_ms, row_id) = cleanup.before;
            script.bind(cleanup.cutoff_ms);
            script.bind(last_seen_ms);
            script.bind(row_id);
            script.bind_json(&cleanup.spared);
            script.expect("the cleanup", cleanup.expected);
        }
        script.put(
            "the registrations",
            peers::REGISTER,
            &changes.registrations,
            peers::row_of,
        );
        script.put(
            "the TURN registrations",
            turn::OFFER,
            &changes.turn_offers,
            turn::row_of,
        );
        if !changes.renewals.is_empty() {
            script.add(peers::RENEW);
            script.bind(changes.now_ms);
            script.bind_json(&changes.renewals);
            script.expect("the renewals", changes.renewals.len());
        }
        script.relay(&changes.relay);
        script.add("COMMIT;");
        script
    }

    async fn execute(self, connection: &mut SqliteConnection) -> Result<(), StorageError> {
        sqlx::query_with(AssertSqlSafe(self.sql), self.arguments)
            .execute(connection)
            .await?;
        Ok(())
    }

    fn relay(&mut self, changes: &RelayChanges) {
        self.put(
            "the sessions",
            sessions::PUT,
            &changes.sessions,
            sessions::row_of,
        );
        if !changes.forgotten.is_empty() {
            let ids: Vec<&str> = changes.forgotten.iter().map(|id| &**id).collect();
            self.add(sessions::FORGET);
            self.bind_json(&ids);
            self.expect("forgetting sessions", ids.len());
        }
        self.put(
            "the traffic",
            cost::ADD_TRAFFIC,
            &changes.traffic,
            cost::row_of,
        );
        self.put("the tiers", sessions::SET_TIERS, &changes.tiers, |tier| {
            json!(tier)
        });
        let state = changes.state.as_slice();
        self.put("the cost state", cost::SET_STATE, state, cost::state_row_of);
    }

    /// Adds a statement over rows and its guard, if there are any rows.
    fn put<T>(&mut self, what: &str, statement: &str, items: &[T], row_of: fn(&T) -> Value) {
        if !items.is_empty() {
            let rows: Vec<_> = items.iter().map(row_of).collect();
            self.add(statement);
            self.bind_json(&rows);
            self.expect(what, rows.len());
        }
    }

    fn add(&mut self, statement: &str) {
        self.sql.push_str(statement);
    }

    /// Adds the guard of the statement before: it fails unless that touched so many rows.
    fn expect(&mut self, what: &str, rows: usize) {
        // Writing to a String cannot fail.
        let _ = write!(
            self.sql,
            "
SELECT json_extract('{{}}', '{what} touched ' || changes() || ' rows{NOT_AS_PLANNED}')
WHERE changes() <> ?;"
        );
        self.bind(rows as i64);
    }

    fn bind<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite> + 'v) {
        // Numbers and texts always encode; were it otherwise, SQLite would take NULL instead.
        let _ = self.arguments.add(value);
    }

    fn bind_json(&mut self, rows: &[impl Serialize]) {
        // Rows always serialize; were it otherwise, SQLite would refuse the empty text.
        self.bind(serde_json::to_string(rows).unwrap_or_default());
    }
}
