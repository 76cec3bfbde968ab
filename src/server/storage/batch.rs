//! Writes a batch in one transaction.
//!
//! One round trip to SQLite's thread costs as much as several heartbeats, and one core is idle
//! meanwhile. So the whole batch is one script, from `BEGIN` to `COMMIT`. A guard follows each
//! statement: a query that fails the script if the statement touched other rows than planned.

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

/// Fails if another connection has written to the database. SQLite has `RAISE` only in triggers,
/// but `json_extract` fails on a malformed path and puts the path into its error message.
const UNCHANGED: &str = "
SELECT json_extract('{}', 'the database was changed from outside')
FROM pragma_data_version WHERE data_version <> ?;";

/// The part of a guard's error message that marks it as a guard's.
const NOT_AS_PLANNED: &str = ", not the planned number";

/// Writes `changes` in one transaction, with the number `batch`.
///
/// On an error nothing is changed, with one exception: after a disk error the write-ahead log may
/// still contain the commit, see [`settle`](super::settle).
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
    // The transaction may be over already. Then this fails, which does no harm.
    let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    let error = refused_row(error);
    // The disk or a lock is the cause, not the data, so its version does not matter.
    if error.stops_writes() {
        return Err(error);
    }
    match check(connection, version).await? {
        // The script was planned for older data, so its error says nothing about the rows.
        CommitOutcome::ChangedOutside => Ok(CommitOutcome::ChangedOutside),
        CommitOutcome::Done => Err(error),
    }
}

/// A guard fails if an operator's trigger silently skipped a row. This is a refused row, like a
/// constraint.
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

/// Compares the version of the data with `version`.
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

/// Inserts peers in one transaction.
pub(crate) async fn put_peers(
    connection: &mut SqliteConnection,
    rows: &[StoredPeer],
) -> Result<(), StorageError> {
    let mut script = Script::default();
    script.add("BEGIN IMMEDIATE;");
    script.put("the peers", &peers::REGISTER, rows, peers::row_of);
    script.add("COMMIT;");
    script.execute(connection).await
}

/// Inserts the TURN sessions, traffic, tiers and cost state. The table must not have traffic for
/// these days yet, because traffic is added to what is there.
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

/// SQL and its arguments, in order.
#[derive(Default)]
struct Script {
    sql: String,
    arguments: SqliteArguments,
}

impl Script {
    fn of(changes: &Changes, version: i64, batch: i64) -> Self {
        let mut script = Self::default();
        script.add("BEGIN IMMEDIATE;");
        // The lock comes first: from here on no other connection can write, so the check stays
        // true.
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
        // First, because its expected number was counted before the other changes.
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
            &peers::REGISTER,
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
            &sessions::PUT,
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

    /// Adds a statement over `items` and its guard. Adds nothing if there are no items.
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

    /// Adds the guard of the previous statement: it fails unless that statement touched exactly
    /// `rows` rows.
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
        // Encoding a number or a text never fails. If it did, SQLite would bind NULL instead.
        let _ = self.arguments.add(value);
    }

    fn bind_json(&mut self, rows: &[impl Serialize]) {
        // Serializing a row never fails. If it did, SQLite would refuse the empty text.
        self.bind(serde_json::to_string(rows).unwrap_or_default());
    }
}
