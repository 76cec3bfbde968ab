//! A start that cannot succeed yet: exit code 75, or waiting, and not 2 for ever.

use std::fs;
use std::os::unix::fs::symlink;

use crate::child::{Registry, command, folder, peer, run};

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
