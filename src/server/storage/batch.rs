//! One transaction for all that waits.
//!
//! Every trip to the connection's thread and back costs as much as several heartbeats. So the
//! statements of a batch go as one script, which takes their parameters in a row, and the commit
//! follows once the script has done what it was meant to do.

use std::sync::LazyLock;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteQueryResult;
use sqlx::{Either, Executor, Row, SqliteConnection};

use super::{Changes, CommitOutcome, DataVersion, StorageError, peers, turn, uptime};

/// The statements of a batch. Those with nothing to do cost a microsecond or two.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    [
        "BEGIN IMMEDIATE; PRAGMA data_version;",
        uptime::MARK_ALIVE,
        peers::CLEANUP,
        peers::REGISTER,
        turn::OFFER,
        peers::RENEW,
    ]
    .concat()
});

pub(super) async fn commit(
    connection: &mut SqliteConnection,
    changes: &Changes,
    version: DataVersion,
) -> Result<CommitOutcome, StorageError> {
    let mut found_version = None;
    let results = run_script(connection, changes, &mut found_version).await;
    if found_version.is_some_and(|found| found != version) {
        // Whatever the script ran into, it was made for other data. What is left of the
        // transaction, if anything, is undone here.
        let _ = sqlx::query("ROLLBACK").execute(connection).await;
        return Ok(CommitOutcome::ChangedOutside);
    }
    expect_rows(changes, &results?)?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(CommitOutcome::Done)
}

/// Tells whether the data is still at `version`.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    version: DataVersion,
) -> Result<CommitOutcome, StorageError> {
    if data_version(connection).await? == version {
        Ok(CommitOutcome::Done)
    } else {
        Ok(CommitOutcome::ChangedOutside)
    }
}

pub(super) async fn data_version(
    connection: &mut SqliteConnection,
) -> Result<DataVersion, StorageError> {
    let version = sqlx::query_scalar("PRAGMA data_version")
        .fetch_one(connection)
        .await?;
    Ok(DataVersion(version))
}

/// Runs the statements; notes the version of the data they meet and returns what each touched.
async fn run_script(
    connection: &mut SqliteConnection,
    changes: &Changes,
    version: &mut Option<DataVersion>,
) -> Result<Vec<SqliteQueryResult>, StorageError> {
    let registrations: Vec<_> = changes.registrations.iter().map(peers::row_of).collect();
    let offers: Vec<_> = changes.turn_offers.iter().map(turn::row_of).collect();
    let cleanup = changes.cleanup.as_ref();
    let script = sqlx::query(SCRIPT.as_str())
        .bind(changes.now_ms)
        .bind(cleanup.map_or(i64::MIN, |cleanup| cleanup.cutoff_ms))
        .bind(json(cleanup.map_or(&[][..], |cleanup| &cleanup.spared)))
        .bind(json(&registrations))
        .bind(json(&offers))
        .bind(changes.now_ms)
        .bind(json(&changes.renewals));
    let mut results = Vec::new();
    let mut steps = connection.fetch_many(script);
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(result) => results.push(result),
            Either::Right(row) => *version = Some(DataVersion(row.try_get(0)?)),
        }
    }
    Ok(results)
}

/// Fails unless each statement touched the rows it was meant to.
fn expect_rows(changes: &Changes, results: &[SqliteQueryResult]) -> Result<(), StorageError> {
    let cleaned = changes
        .cleanup
        .as_ref()
        .map_or(0, |cleanup| cleanup.expected);
    let expected = [
        ("the sign of life", 1),
        ("the cleanup", cleaned),
        ("the registrations", changes.registrations.len()),
        ("the TURN registrations", changes.turn_offers.len()),
        ("the renewals", changes.renewals.len()),
    ];
    // The first two results are those of BEGIN and of the pragma.
    let mut results = results.iter().skip(2);
    for (what, expected) in expected {
        let expected = expected as u64;
        let found = results.next().map_or(0, SqliteQueryResult::rows_affected);
        if found != expected {
            return Err(StorageError::Mismatch {
                what,
                found,
                expected,
            });
        }
    }
    Ok(())
}

fn json(rows: &(impl serde::Serialize + ?Sized)) -> String {
    // Rows always serialize; were it otherwise, SQLite would refuse the empty text.
    serde_json::to_string(rows).unwrap_or_default()
}
