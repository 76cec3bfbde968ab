//! A disk that fails: every response, whether 200 or 503, is true.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{env, fs};

use reqwest::StatusCode;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::child::{Registry, folder, peer};

/// Compiles the library that replaces calls of the C library, so that a test can make them fail.
pub fn shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/shim.c");
    let library = folder.join("shim.so");
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .stderr(Stdio::inherit())
        .status();
    assert!(compiled.expect("a C compiler, cc").success());
    library
}

#[tokio::test]
async fn when_syncs_fail_a_200_has_its_row_on_disk_and_a_503_has_none() {
    let folder = folder();
    let library = shim(folder.path());
    let trigger = folder.path().join("fail");
    let env = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAIL_SYNC", trigger.to_str().unwrap()),
    ];
    let mut told = Vec::new();
    for round in 0..6 {
        let mut registry = Registry::start_with(folder.path(), &["--max-listed=100"], &env).await;
        let mut listed = registry.listed_ids().await;
        listed.sort();
        told.sort();
        assert_eq!(listed, told, "round {round}");
        for number in 0..4 {
            let id = format!("round-{round}-{number}");
            // In every second round the disk works again before the process is killed.
            if number == 1 {
                fs::write(&trigger, "").unwrap();
            } else if number == 3 && round % 2 == 1 {
                fs::remove_file(&trigger).unwrap();
            }
            let (status, body) = registry.post("/register", &peer(&id)).await;
            match status {
                StatusCode::OK => told.push(id),
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert_eq!(body["code"], "storage_unavailable", "{body}");
                }
                _ => panic!("{status} {body}"),
            }
        }
        registry.kill_nine().await;
        let _ = fs::remove_file(&trigger);
    }
    // At least the first peer of each round, and those registered after the disk works again.
    assert!((9..24).contains(&told.len()), "{told:?}");
}

/// Sets the file size limit of a running process, to simulate a disk with this much room.
fn limit_file_size(pid: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn a_file_size_limit_stops_writes_only_while_it_holds() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    limit_file_size(registry.pid(), Some(4096));
    let (status, body) = registry.post("/register", &peer("b")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    registry.line("disk full or file size limit").await;
    assert_eq!(registry.listed_ids().await, ["a"]);
    limit_file_size(registry.pid(), None);
    registry.register(&peer("c")).await;
    assert_eq!(registry.listed_ids().await, ["a", "c"]);
    registry.stop().await;
}

/// Starts through a shell with a file size limit, and lifts it at the end.
async fn serves_reads_without_room(folder: &Path, expected: &[&str]) {
    let mut registry = Registry::start_in_shell(folder, "ulimit -S -f 1").await;
    registry.line("serving reads only").await;
    assert_eq!(registry.listed_ids().await, expected);
    let (status, health) = registry.get("/health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health["status"], json!("degraded"));
    let (status, body) = registry.post("/register", &peer("no-room")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    limit_file_size(registry.pid(), None);
    registry.register(&peer("room")).await;
    assert_eq!(registry.listed().await.len(), expected.len() + 1);
    registry.stop().await;
    let registry = Registry::start(folder, &[]).await;
    assert_eq!(registry.listed().await.len(), expected.len() + 1);
}

#[tokio::test]
async fn a_start_on_a_full_disk_serves_reads_after_an_orderly_stop() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    serves_reads_without_room(folder.path(), &["a"]).await;
}

#[tokio::test]
async fn a_start_on_a_full_disk_serves_reads_after_kill_nine() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.kill_nine().await;
    // Like after a restart of the machine.
    fs::remove_file(folder.path().join("peers.db-shm")).unwrap();
    serves_reads_without_room(folder.path(), &["a"]).await;
}
