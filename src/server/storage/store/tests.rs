use super::*;
use crate::server::model::{Profile, StoredPeer};
use crate::server::policy::{lease, uptime};
use crate::server::progress::Progress;
use crate::server::storage::{Loaded, Resumed, StorageError};

const NOW_MS: i64 = 1_767_225_600_000;
const TIMEOUT_MS: i64 = 600_000;

async fn resume(store: &Store, now_ms: i64) -> Result<Resumed, StorageError> {
    let decide = |before, now_ms| uptime::resume(before, now_ms, TIMEOUT_MS);
    store.resume(now_ms, TIMEOUT_MS, decide).await
}

async fn open(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(&folder.path().join("peers.db")).await.unwrap();
    resume(&store, NOW_MS).await.unwrap();
    store
}

async fn load(store: &Store) -> Loaded {
    let progress = Progress::default();
    store.load(NOW_MS, |_| {}, 0, &progress).await.unwrap()
}

async fn execute(store: &Store, sql: &'static str) {
    let done = store.run(async |connection| {
        sqlx::raw_sql(sql).execute(connection).await?;
        Ok(())
    });
    done.await.unwrap();
}

fn registration(row_id: i64, peer_id: &str) -> Changes {
    Changes {
        now_ms: NOW_MS,
        is_written: true,
        registrations: vec![StoredPeer {
            row_id,
            peer_id: crate::protocol::PeerId::from_trusted(peer_id),
            registered_at_ms: NOW_MS,
            last_seen_ms: NOW_MS,
            profile: Profile::default(),
        }],
        ..Changes::default()
    }
}

/// Settles the last transaction as if its commit had failed.
async fn settle_the_last(store: &Store) -> Result<CommitOutcome, StorageError> {
    let mut slot = store.0.slot.lock().await;
    let mut connection = slot.take(&store.0.real).await.unwrap();
    let batch = settle::last_batch(&mut connection).await.unwrap();
    let failed = StorageError::Database(sqlx::Error::WorkerCrashed);
    store.settle(&mut slot, connection, batch, failed).await
}

#[tokio::test]
async fn a_commit_that_cannot_be_taken_back_is_carried_on_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let version = load(&store).await.version;
    let outcome = store.commit(&registration(1, "a"), version).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Done);
    let protect = "CREATE TRIGGER protect BEFORE UPDATE ON registry_state
                   BEGIN SELECT RAISE(ABORT, 'no'); END";
    execute(&store, protect).await;
    assert_eq!(settle_the_last(&store).await.unwrap(), CommitOutcome::Done);
    // The directory must be read again, because the connection is a new one.
    let outcome = store.commit(&registration(2, "b"), version).await.unwrap();
    assert_eq!(outcome, CommitOutcome::ChangedOutside);
}

#[tokio::test]
async fn a_commit_that_is_taken_back_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert!(settle_the_last(&store).await.is_err());
    let version = load(&store).await.version;
    store.commit(&registration(1, "a"), version).await.unwrap();
}

#[tokio::test]
async fn a_row_that_a_trigger_refuses_leaves_the_data_at_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    execute(
        &store,
        "CREATE TRIGGER picky BEFORE INSERT ON peers WHEN new.peer_id = 'a'
         BEGIN SELECT RAISE(ABORT, 'no'); END;
         CREATE TRIGGER silent BEFORE INSERT ON peers WHEN new.peer_id = 'b'
         BEGIN SELECT RAISE(IGNORE); END",
    )
    .await;
    let version = load(&store).await.version;
    for refused in ["a", "b"] {
        let error = store.commit(&registration(1, refused), version).await;
        assert!(
            matches!(error, Err(StorageError::Constraint(_))),
            "{error:?}"
        );
    }
    let outcome = store.commit(&registration(1, "c"), version).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Done);
}

#[tokio::test]
async fn each_run_of_a_crash_loop_counts_for_as_long_as_it_was_seen_alive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.db");
    let mut now_ms = NOW_MS;
    let mut up_ms = 0;
    let mut resumed = Resumed::default();
    // Each process lives for a second, records a sign of life after half of it, and is started
    // again after a minute.
    for _ in 0..100 {
        let store = Store::open(&path).await.unwrap();
        resumed = resume(&store, now_ms).await.unwrap();
        let version = load(&store).await.version;
        let alive = Changes {
            now_ms: now_ms + 500,
            is_written: true,
            ..Changes::default()
        };
        store.commit(&alive, version).await.unwrap();
        up_ms += 500;
        now_ms += 60_000;
        store.close().await.unwrap();
    }
    let last_start_ms = now_ms - 60_000;
    up_ms -= 500;
    // A peer last seen at the first start has used exactly these parts of its lease.
    let cutoff_ms =
        |timeout_ms| lease::cutoff_ms(last_start_ms, timeout_ms, &resumed.leases.outages);
    assert!(lease::is_expired(NOW_MS, cutoff_ms(up_ms - 1)));
    assert!(!lease::is_expired(NOW_MS, cutoff_ms(up_ms)));
}

#[tokio::test]
async fn rows_whose_leases_had_run_out_are_removed_in_slices_before_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    execute(
        &store,
        "WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter LIMIT 5001)
         INSERT INTO peers (id, peer_id, last_seen, registered_at, addresses, privacy_mode,
                            bootstrap_capable, turn_capable, stores)
         SELECT n, 'peer-' || n, 1767225600000 - 600001 * (n > 1), 0, '[]', 0, 0, 0, '[]'
         FROM counter",
    )
    .await;
    let resumed = resume(&store, NOW_MS).await.unwrap();
    assert_eq!(resumed.expired, 5000);
    let mut left = Vec::new();
    let progress = Progress::default();
    let each = |peer: StoredPeer| left.push(peer.row_id);
    store.load(NOW_MS, each, 0, &progress).await.unwrap();
    assert_eq!(left, [1]);
    assert_eq!(progress.rows(), (1, 1));
}

#[tokio::test]
async fn a_file_that_is_mostly_free_gives_pages_back_some_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert_eq!(store.vacuum_some(100).await.unwrap(), 0);
    execute(
        &store,
        "CREATE TABLE large (bytes BLOB); INSERT INTO large VALUES (zeroblob(8000000));
         DROP TABLE large",
    )
    .await;
    assert_eq!(store.vacuum_some(100).await.unwrap(), 100);
    while store.vacuum_some(500).await.unwrap() > 0 {}
    store.close().await.unwrap();
    let bytes = std::fs::metadata(store.path()).unwrap().len();
    assert!(bytes < 5_000_000, "{bytes}");
}

#[tokio::test]
async fn a_small_database_of_an_earlier_version_is_written_anew_to_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    execute(&store, "PRAGMA auto_vacuum = NONE; VACUUM").await;
    store.close().await.unwrap();
    drop(store);
    let store = open(&folder).await;
    assert_eq!(
        store.notices(),
        ["wrote the database anew, so that it can shrink"]
    );
    store.close().await.unwrap();
    drop(store);
    assert!(open(&folder).await.notices().is_empty());
}

/// Commits peers, each in a transaction of its own.
async fn commit_some(store: &Store, count: i64) {
    let version = load(store).await.version;
    for row_id in 1..=count {
        let changes = registration(row_id, &format!("peer-{row_id}"));
        store.commit(&changes, version).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_whose_work_has_failed_moves_no_damaged_log_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    commit_some(&store, 20).await;
    let before = std::fs::read(store.path()).unwrap();
    let log = folder.path().join("peers.db-wal");
    let log = std::fs::File::options().write(true).open(log).unwrap();
    log.set_len(log.metadata().unwrap().len() / 2).unwrap();
    let failed = store.run(async |connection| {
        sqlx::query("SELECT nothing").execute(connection).await?;
        Ok(())
    });
    assert!(failed.await.is_err());
    let late = registration(21, "late");
    let refused = store.commit(&late, DataVersion::default()).await;
    assert!(matches!(refused, Err(StorageError::Lost(_))));
    assert!(matches!(store.close().await, Err(StorageError::Lost(_))));
    drop(store);
    assert!(before == std::fs::read(folder.path().join("peers.db")).unwrap());
}

#[tokio::test]
async fn a_long_log_is_moved_into_the_file_when_it_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let file_bytes = || std::fs::metadata(store.path()).unwrap().len();
    execute(&store, "CREATE TABLE large (bytes BLOB)").await;
    assert!(!store.take_move_due());
    execute(&store, "INSERT INTO large VALUES (zeroblob(40000000))").await;
    assert!(store.take_move_due());
    assert!(file_bytes() < 1_000_000);
    store.checkpoint().await.unwrap();
    assert!(file_bytes() > 40_000_000);
    // If nobody moves it in time, the store does.
    execute(&store, "INSERT INTO large VALUES (zeroblob(80000000))").await;
    assert!(file_bytes() > 120_000_000);
    store.close().await.unwrap();
}
