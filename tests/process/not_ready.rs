//! A start that cannot succeed yet: exit code 75, or waiting, and not 2 for ever.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::child::{Registry, command, folder, limited, peer, run};

#[tokio::test]
async fn a_start_waits_for_the_server_before_it_to_release_the_database() {
    let folder = folder();
    let mut first = Registry::start(folder.path(), &[]).await;
    first.register(&peer("a")).await;
    let args = ["--listen-addr=127.0.0.1:0", "--lock-wait-secs=60"];
    let second = Registry::spawn(command(folder.path(), &args, &[]));
    second.line("waiting up to 60 s").await;
    first.stop().await;
    let second = second.listening().await;
    assert_eq!(second.listed_ids().await, ["a"]);
}

#[tokio::test]
async fn a_start_that_waits_for_the_database_ends_at_a_signal() {
    let folder = folder();
    let first = Registry::start(folder.path(), &[]).await;
    let args = ["--listen-addr=127.0.0.1:0", "--lock-wait-secs=600"];
    let mut second = Registry::spawn(command(folder.path(), &args, &[]));
    second.line("waiting up to 600 s").await;
    second.signal("TERM").await;
    assert_eq!(second.ended().await.code(), Some(0));
    first.register(&peer("a")).await;
}

#[tokio::test]
async fn a_database_on_a_disk_that_is_mounted_later_is_a_fault_that_may_pass() {
    let folder = folder();
    fs::create_dir(folder.path().join("data")).unwrap();
    symlink("late-disk/data", folder.path().join("link")).unwrap();
    symlink("late-disk/peers.db", folder.path().join("data/peers.db")).unwrap();
    for url in ["sqlite://link/peers.db", "sqlite://data/peers.db"] {
        let env = [("DATABASE_URL", url), ("LISTEN_ADDR", "127.0.0.1:0")];
        let ended = run(folder.path(), &[], &env).await;
        assert_eq!(ended.code, Some(75), "{url}: {ended:?}");
        assert!(
            ended.stderr.contains("cannot be used at present"),
            "{ended:?}"
        );
    }
    fs::create_dir_all(folder.path().join("late-disk/data")).unwrap();
    let registry = Registry::start(folder.path(), &["--database-url=sqlite://link/peers.db"]).await;
    registry.register(&peer("a")).await;
}

#[tokio::test]
async fn too_few_open_files_are_a_fault_that_may_pass_or_enough() {
    let folder = folder();
    for limit in (5..=30).chain([40, 100]) {
        let args = ["--http-workers=20"];
        let limits = format!("ulimit -n {limit}");
        let mut registry = Registry::spawn(limited(folder.path(), &args, &limits));
        let status = registry.ended().await;
        let lines = registry.lines().join("\n");
        assert_eq!(status.code(), Some(75), "{limit}: {status:?} {lines}");
        assert!(lines.contains("files can be opened"), "{limit}: {lines}");
        assert!(lines.contains("ulimit -n"), "{limit}: {lines}");
        assert!(!lines.contains("panicked"), "{limit}: {lines}");
    }
    // The soft limit is raised to the hard one.
    let registry = Registry::start_limited(folder.path(), &[], "ulimit -S -n 12").await;
    registry.register(&peer("a")).await;
}

/// A command of the shell after which the folder is on a file system that cannot be written.
const READ_ONLY: &str = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\"";

/// Runs `exec` in a namespace of its own, where it may mount; `None` if the system forbids it.
fn in_namespace(folder: &Path, exec: &str) -> Option<Command> {
    let unshare = |text: &str| {
        let mut command = std::process::Command::new("unshare");
        let script = format!("{READ_ONLY} && {text}");
        command.current_dir(folder);
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        command
    };
    let may_mount = unshare("! touch probe")
        .output()
        .is_ok_and(|it| it.status.success());
    may_mount.then(|| {
        let mut command = Command::from(unshare(exec));
        command
            .env_clear()
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    })
}

#[tokio::test]
async fn a_file_system_that_is_read_only_is_a_fault_that_may_pass() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    // The log of a killed process cannot be read without writing.
    registry.kill_nine().await;
    fs::create_dir(folder.path().join("moved")).unwrap();
    for file in ["peers.db", "peers.db-wal"] {
        fs::copy(
            folder.path().join(file),
            folder.path().join("moved").join(file),
        )
        .unwrap();
    }
    for name in ["peers.db", "moved/peers.db", "missing.db"] {
        let binary = env!("CARGO_BIN_EXE_peer-registry");
        let url = format!("--database-url=sqlite://{name}");
        let exec = format!("exec {binary} --listen-addr=127.0.0.1:0 {url}");
        let Some(command) = in_namespace(folder.path(), &exec) else {
            eprintln!("skipped: this system does not allow a namespace with mounts");
            return;
        };
        let mut registry = Registry::spawn(command);
        let status = registry.ended().await;
        let lines = registry.lines().join("\n");
        assert_eq!(status.code(), Some(75), "{name}: {lines}");
        let reasons = ["Read-only file system", "readonly database"];
        let is_named = reasons.iter().any(|reason| lines.contains(reason));
        assert!(is_named, "{name}: {lines}");
    }
    let registry = Registry::start(folder.path(), &[]).await;
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[test]
fn the_unit_restarts_what_may_pass_and_waits_for_the_network() {
    let unit = include_str!("../../contrib/peer-registry.service");
    for line in [
        "RestartForceExitStatus=75",
        "RestartPreventExitStatus=2",
        "Wants=network-online.target",
        "ExecReload=/bin/kill -HUP $MAINPID",
        // Otherwise systemd gives up after five starts.
        "StartLimitIntervalSec=0",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
    let after = unit.lines().find(|line| line.starts_with("After="));
    assert!(after.unwrap().contains("network-online.target"));
}
