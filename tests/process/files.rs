//! The files of the database: one registry at a time, private, and rescued if they are lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::child::{Registry, folder, peer, refused_for_now, soon};

const IN_USE: [&str; 2] = ["DATABASE_URL", "in use by another peer-registry"];

/// A start that does not wait for the lock.
const NO_WAIT: &str = "--lock-wait-secs=0";

#[tokio::test]
async fn a_second_registry_by_a_hard_link_of_the_same_database_is_refused() {
    let folder = folder();
    let mut first = Registry::start(folder.path(), &[]).await;
    fs::hard_link(
        folder.path().join("peers.db"),
        folder.path().join("link.db"),
    )
    .unwrap();
    let args = ["--database-url=sqlite://link.db", NO_WAIT];
    refused_for_now(folder.path(), &args, &[], &IN_USE).await;
    // A second name of the file causes a warning only.
    first.line("hard links").await;
    first.register(&peer("a")).await;
    first.stop().await;
}

#[tokio::test]
async fn a_second_registry_is_refused_if_the_first_one_started_at_a_dangling_link() {
    let folder = folder();
    symlink("real.db", folder.path().join("peers.db")).unwrap();
    let first = Registry::start(folder.path(), &[]).await;
    let args = ["--database-url=sqlite://real.db", NO_WAIT];
    refused_for_now(folder.path(), &args, &[], &IN_USE).await;
    refused_for_now(folder.path(), &[NO_WAIT], &[], &IN_USE).await;
    first.register(&peer("a")).await;
}

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mode = |name: &str| {
        let file = fs::metadata(folder.join(name)).unwrap();
        (name.to_owned(), file.permissions().mode() & 0o777)
    };
    ["peers.db", "peers.db-wal", "peers.db-shm"]
        .map(mode)
        .to_vec()
}

#[tokio::test]
async fn other_users_read_neither_the_database_nor_what_lies_beside_it() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    assert!(modes(folder.path()).iter().all(|(_, mode)| *mode == 0o600));
    registry.kill_nine().await;
    for (name, _) in modes(folder.path()) {
        let open = Permissions::from_mode(0o644);
        fs::set_permissions(folder.path().join(name), open).unwrap();
    }
    let registry = Registry::start(folder.path(), &[]).await;
    registry
        .line("peers.db was open to other users (mode 644)")
        .await;
    registry.register(&peer("b")).await;
    assert!(modes(folder.path()).iter().all(|(_, mode)| *mode == 0o600));
}

/// Runs a registry, damages its files with `deed`, and returns the rescue file.
async fn rescued_after(deed: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.register(&peer("b")).await;
    deed(folder.path());
    let path = rescued(&mut registry, folder.path()).await;
    (folder, path)
}

/// Waits for the end of a registry that has lost its files, and returns the rescue file.
pub async fn rescued(registry: &mut Registry, folder: &Path) -> PathBuf {
    let status = registry.ended().await;
    // A service manager must not start it again before a person has moved the new file.
    assert_eq!(status.code(), Some(2), "{:#?}", registry.lines());
    let said = registry.lines().join("\n");
    assert!(said.contains("while the registry ran"), "{said}");
    let mut rescued = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.to_string_lossy().contains(".rescued-").then_some(path)
    });
    let path = rescued.next().unwrap_or_else(|| panic!("{said}"));
    assert!(said.contains(&*path.to_string_lossy()), "{said}");
    assert_eq!(rescued.next(), None);
    path
}

/// Starts from a rescued file.
pub async fn start_from(folder: &Path, rescued: &Path) -> Registry {
    let mode = fs::metadata(rescued).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let args = [format!("--database-url=sqlite://{}", rescued.display())];
    Registry::start(folder, &[&args[0]]).await
}

async fn assert_whole(folder: &Path, rescued: &Path) {
    let registry = start_from(folder, rescued).await;
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
}

#[tokio::test]
async fn a_database_deleted_while_the_registry_runs_is_written_to_a_new_file() {
    let delete = |folder: &Path| fs::remove_file(folder.join("peers.db")).unwrap();
    let (folder, rescued) = soon("a rescue", rescued_after(delete)).await;
    assert_whole(folder.path(), &rescued).await;
}

#[tokio::test]
async fn a_log_deleted_while_the_registry_runs_is_written_to_a_new_file() {
    let delete = |folder: &Path| fs::remove_file(folder.join("peers.db-wal")).unwrap();
    let (folder, rescued) = soon("a rescue", rescued_after(delete)).await;
    assert_whole(folder.path(), &rescued).await;
}

#[tokio::test]
async fn a_backup_moved_over_the_database_while_the_registry_runs_loses_no_peer() {
    let restore = |folder: &Path| {
        fs::copy(folder.join("peers.db"), folder.join("backup")).unwrap();
        fs::rename(folder.join("backup"), folder.join("peers.db")).unwrap();
    };
    let (folder, rescued) = soon("a rescue", rescued_after(restore)).await;
    assert_whole(folder.path(), &rescued).await;
}

#[tokio::test]
async fn a_database_emptied_where_it_lies_is_written_to_a_new_file() {
    let empty = |folder: &Path| drop(fs::File::create(folder.join("peers.db")).unwrap());
    let (folder, rescued) = soon("a rescue", rescued_after(empty)).await;
    assert_whole(folder.path(), &rescued).await;
}

#[tokio::test]
async fn a_database_overwritten_where_it_lies_is_written_to_a_new_file() {
    let text = "dear diary, ".repeat(1_000);
    let overwrite = |folder: &Path| fs::write(folder.join("peers.db"), text).unwrap();
    let (folder, rescued) = soon("a rescue", rescued_after(overwrite)).await;
    assert_whole(folder.path(), &rescued).await;
}
