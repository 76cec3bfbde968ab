//! The start after a rescue: a service manager must not start from what is left of the database.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::child::{Registry, folder, peer, refused, soon};
use crate::files::rescued;

const WAY_OUT: [&str; 3] = ["is older than", ".rescued-", "move that file to"];

/// Runs a registry with peer "a", damages its files with `deed`, and returns the rescue file.
async fn rescued_after(folder: &Path, deed: impl FnOnce(&Path)) -> PathBuf {
    let mut registry = Registry::start(folder, &[]).await;
    registry.register(&peer("a")).await;
    deed(folder);
    soon("a rescue", rescued(&mut registry, folder)).await
}

/// Removes what is left of the database.
fn clear(folder: &Path) {
    for name in ["peers.db", "peers.db-wal", "peers.db-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
}

#[tokio::test]
async fn after_a_rescue_no_start_serves_what_is_left_of_the_database() {
    let folder = folder();
    let empty_log = |folder: &Path| drop(File::create(folder.join("peers.db-wal")).unwrap());
    let rescued = rescued_after(folder.path(), empty_log).await;
    refused(folder.path(), &[], &[], &WAY_OUT).await;
    // An operator looks into what is left, and SQLite writes to it.
    let mut left = crate::database::open_in(folder.path()).await;
    crate::database::execute(&mut left, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    sqlx::Connection::close(left).await.unwrap();
    refused(folder.path(), &[], &[], &WAY_OUT).await;

    clear(folder.path());
    fs::rename(rescued, folder.path().join("peers.db")).unwrap();
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[tokio::test]
async fn after_a_rescue_no_start_creates_an_empty_database() {
    let folder = folder();
    let rescued = rescued_after(folder.path(), clear).await;
    clear(folder.path());
    refused(folder.path(), &[], &[], &WAY_OUT).await;
    // The operator does not want the peers.
    fs::create_dir(folder.path().join("kept")).unwrap();
    let kept = folder
        .path()
        .join("kept")
        .join(rescued.file_name().unwrap());
    fs::rename(&rescued, kept).unwrap();
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, [""; 0]);
}

#[tokio::test]
async fn a_rescue_file_that_was_copied_into_place_stops_no_start() {
    let folder = folder();
    let rescued = rescued_after(folder.path(), clear).await;
    clear(folder.path());
    fs::copy(&rescued, folder.path().join("peers.db")).unwrap();
    for id in ["b", "c"] {
        let mut registry = Registry::start(folder.path(), &[]).await;
        registry.register(&peer(id)).await;
        registry.stop().await;
    }
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a", "b", "c"]);
}
