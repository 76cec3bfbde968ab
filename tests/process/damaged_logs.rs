//! A write-ahead log that is damaged in place while the registry writes to it.
//!
//! No damage may reach the database file, and everything acknowledged is rescued from memory.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::child::{Registry, folder, peer, soon};
use crate::database;
use crate::files::{rescued, start_from};

const PEERS: usize = 60;

/// Starts a registry with some peers, whose log has some hundred frames.
async fn start(folder: &Path) -> (Registry, Vec<String>) {
    let registry = Registry::start(folder, &["--max-capabilities-bytes=65536"]).await;
    let mut ids = Vec::new();
    for number in 0..PEERS {
        let id = format!("peer-{number:03}");
        registry.register(&peer(&id)).await;
        ids.push(id);
    }
    (registry, ids)
}

/// Renews leases until the task is aborted, so that a valid frame soon follows each damaged one.
fn renew_all(registry: &Registry, ids: &[String], pause: Duration) -> JoinHandle<()> {
    let (client, ids) = (registry.client.clone(), Arc::new(ids.to_owned()));
    let url = format!("http://{}/heartbeat", registry.addr);
    tokio::spawn(async move {
        for id in ids.iter().cycle() {
            let _ = client
                .post(&url)
                .json(&json!({ "peerId": id }))
                .send()
                .await;
            tokio::time::sleep(pause).await;
        }
    })
}

fn cut_in_half(log: &Path) {
    let file = File::options().write(true).open(log).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

/// Waits until the registry has verified a log of at least `bytes`. Health has the length of the log
/// at the last check.
async fn checked(registry: &Registry, bytes: u64) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let verified = async {
        loop {
            pause.tick().await;
            let (_, health) = registry.get("/health").await;
            if health["walBytes"].as_u64() >= Some(bytes) {
                return;
            }
        }
    };
    soon("a check of the log", verified).await;
}

/// Waits for the rescue, and checks that a start from the new file lists `ids`.
async fn assert_rescued(mut registry: Registry, folder: &Path, mut ids: Vec<String>) {
    let path = soon("a rescue", rescued(&mut registry, folder)).await;
    let registry = start_from(folder, &path).await;
    ids.sort_unstable();
    assert_eq!(registry.listed_ids().await, ids);
}

#[tokio::test]
async fn a_log_cut_short_under_heartbeats_is_noticed() {
    let folder = folder();
    let (registry, ids) = start(folder.path()).await;
    let renewing = renew_all(&registry, &ids, Duration::from_millis(20));
    cut_in_half(&folder.path().join("peers.db-wal"));
    assert_rescued(registry, folder.path(), ids).await;
    renewing.abort();
}

#[tokio::test]
async fn a_log_restored_from_a_backup_under_heartbeats_is_noticed() {
    for restored in [&["peers.db", "peers.db-wal"][..], &["peers.db-wal"]] {
        let folder = folder();
        let (registry, mut ids) = start(folder.path()).await;
        let path = |name: &str| folder.path().join(name);
        for name in ["peers.db", "peers.db-wal"] {
            fs::copy(path(name), path(&format!("backup-{name}"))).unwrap();
        }
        let renewing = renew_all(&registry, &ids, Duration::from_millis(10));
        registry.register(&peer("later")).await;
        ids.push("later".to_owned());
        for name in restored {
            fs::copy(path(&format!("backup-{name}")), path(name)).unwrap();
        }
        assert_rescued(registry, folder.path(), ids).await;
        renewing.abort();
    }
}

#[tokio::test]
async fn an_index_restored_from_a_backup_under_heartbeats_is_noticed() {
    let folder = folder();
    let (registry, mut ids) = start(folder.path()).await;
    let index = folder.path().join("peers.db-shm");
    let backup = fs::read(&index).unwrap();
    registry.register(&peer("later")).await;
    ids.push("later".to_owned());
    let renewing = renew_all(&registry, &ids, Duration::from_millis(10));
    // `cp` would first cut it short, which may end the process.
    let file = File::options().write(true).open(&index).unwrap();
    file.write_all_at(&backup, 0).unwrap();
    assert_rescued(registry, folder.path(), ids).await;
    renewing.abort();
}

#[tokio::test]
async fn an_index_that_was_cut_short_costs_nothing_acknowledged() {
    let folder = folder();
    let (mut registry, ids) = start(folder.path()).await;
    let index = folder.path().join("peers.db-shm");
    File::create(&index).unwrap();
    // The system ends a process that reads a part of a file that is gone.
    let beat = json!({ "peerId": ids[0] });
    let request = registry
        .client
        .post(format!("http://{}/heartbeat", registry.addr));
    let _ = request.json(&beat).send().await;
    registry.kill_nine().await;
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ids);
}

#[tokio::test]
async fn a_stop_after_a_log_was_cut_short_is_a_rescue() {
    let folder = folder();
    let (mut registry, ids) = start(folder.path()).await;
    cut_in_half(&folder.path().join("peers.db-wal"));
    // The heartbeat would put a valid frame behind the hole.
    registry
        .post("/heartbeat", &json!({ "peerId": ids[0] }))
        .await;
    // The process would wait for the pooled connection.
    registry.client = reqwest::Client::builder().no_proxy().build().unwrap();
    registry.signal("TERM").await;
    assert_rescued(registry, folder.path(), ids).await;
}

#[tokio::test]
async fn a_frame_damaged_after_it_was_verified_is_noticed_before_it_is_moved_into_the_file() {
    let folder = folder();
    let (registry, ids) = start(folder.path()).await;
    let log = folder.path().join("peers.db-wal");
    checked(&registry, fs::metadata(&log).unwrap().len()).await;
    let file = File::options().write(true).open(&log).unwrap();
    file.write_all_at(&[0xa5; 8], 100).unwrap();
    let before = fs::read(folder.path().join("peers.db")).unwrap();
    // Makes the log so long that it is moved into the file after the next commit.
    let mut operator = database::open_in(folder.path()).await;
    for statement in [
        "PRAGMA wal_autocheckpoint = 0",
        "CREATE TABLE filler (bytes BLOB)",
        "INSERT INTO filler VALUES (zeroblob(40000000))",
    ] {
        database::execute(&mut operator, statement).await;
    }
    let renewing = renew_all(&registry, &ids, Duration::from_millis(20));
    let lost = registry.line("the database is lost").await;
    assert!(lost.contains("peers.db-wal was"), "{lost}");
    let after = fs::read(folder.path().join("peers.db")).unwrap();
    assert!(before == after, "nothing was moved into the file");
    assert_rescued(registry, folder.path(), ids).await;
    renewing.abort();
}
