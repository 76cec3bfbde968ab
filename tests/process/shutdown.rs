//! A signal ends the process in order, and no acknowledged write or pending request is lost.

use std::io;
use std::path::Path;

use sqlx::Row;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::child::{Registry, folder, is_cut_off, peer, soon};
use crate::database;
use crate::disk::shim;
use crate::wire::Connection;

/// Checks that everything is in the database file itself, and its log is empty.
async fn assert_closed(folder: &Path, ids: &[&str]) {
    let log = folder.join("peers.db-wal");
    let log_bytes = log.metadata().map_or(0, |metadata| metadata.len());
    assert_eq!(log_bytes, 0);
    let alone = folder.join("alone.db");
    std::fs::copy(folder.join("peers.db"), &alone).unwrap();
    let mut database = database::open(&alone).await;
    let rows = sqlx::query("SELECT peer_id FROM peers ORDER BY peer_id")
        .fetch_all(&mut database)
        .await
        .unwrap();
    let found: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(found, ids);
}

/// Asks for the health on an open connection until the server closes it. A server that drains
/// closes an idle connection, unless a request came in just before: that one is told.
async fn ask_until_closed(connection: &mut Connection) {
    while let Some(answer) = connection.try_get("/health").await {
        if answer.status == 200 {
            // The server has not handled the signal yet.
            assert_eq!(answer.body["status"], "healthy", "{answer:?}");
            continue;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.body["status"], "draining", "{answer:?}");
    }
}

/// Connects until it is refused; a connection that comes just as the port is closed is reset.
async fn wait_for_refusal(registry: &Registry) {
    let refusal = async {
        loop {
            match TcpStream::connect(registry.addr).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                Err(error) if is_cut_off(&error) => {}
                Err(error) => panic!("{error}"),
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    };
    soon("the refusal of a new connection", refusal).await;
}

#[tokio::test]
async fn sigterm_and_sigint_end_the_process_in_order() {
    for signal in ["TERM", "INT"] {
        let folder = folder();
        let mut registry = Registry::start(folder.path(), &[]).await;
        registry.register(&peer("a")).await;
        registry.register(&peer("b")).await;
        registry.client = reqwest::Client::new();
        registry.signal(signal).await;
        let status = registry.ended().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status:?}");
        registry.line(&format!("SIG{signal} received")).await;
        registry.line("the database is closed").await;
        assert_closed(folder.path(), &["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_signal_as_soon_as_the_server_listens_ends_the_process_in_order() {
    let folder = folder();
    for _ in 0..10 {
        let mut registry = Registry::start(folder.path(), &[]).await;
        registry.signal("TERM").await;
        let status = registry.ended().await;
        assert_eq!(status.code(), Some(0), "{status:?} {:#?}", registry.lines());
    }
}

#[tokio::test]
async fn requests_in_flight_are_answered_and_new_connections_refused() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    let mut held = Connection::open(registry.addr).await;
    let rest = held.begin_registration("in-flight").await;
    let mut idle = Connection::open(registry.addr).await;
    assert_eq!(idle.get("/health").await.status, 200);

    registry.signal("TERM").await;
    ask_until_closed(&mut idle).await;
    wait_for_refusal(&registry).await;

    held.send(&rest).await;
    let answer = held.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("connection: close"), "{head}");
    drop((held, idle));
    assert_eq!(registry.ended().await.code(), Some(0));
    assert_closed(folder.path(), &["in-flight"]).await;
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_a_shutdown() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    let mut idle = Connection::open(registry.addr).await;
    assert_eq!(idle.get("/health").await.status, 200);
    let begun = Instant::now();
    registry.signal("TERM").await;
    assert_eq!(registry.ended().await.code(), Some(0));
    let secs = begun.elapsed().as_secs_f64();
    // Container runtimes kill ten seconds after SIGTERM.
    assert!(secs < 8.0, "{secs} s");
}

#[tokio::test]
async fn health_says_draining_before_connections_are_refused() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &["--drain-delay-secs=2"]).await;
    let mut probe = Connection::open(registry.addr).await;
    assert_eq!(probe.get("/health").await.status, 200);
    registry.signal("TERM").await;
    registry.line("SIGTERM received").await;
    for mut probe in [probe, Connection::open(registry.addr).await] {
        let answer = probe.get("/health").await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.body["status"], "draining", "{answer:?}");
    }
    assert_eq!(registry.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_that_does_not_end_holds_up_a_shutdown_no_longer_than_its_timeout() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &["--shutdown-timeout-secs=1"]).await;
    registry.register(&peer("a")).await;
    let mut held = Connection::open(registry.addr).await;
    held.begin_registration("in-flight").await;
    let begun = Instant::now();
    registry.signal("TERM").await;
    assert_eq!(registry.ended().await.code(), Some(0));
    let secs = begun.elapsed().as_secs_f64();
    // The body alone would have had five seconds.
    assert!(secs < 4.5, "{secs} s");
    assert_closed(folder.path(), &["a"]).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let folder = folder();
        let args = ["--shutdown-timeout-secs=3600"];
        let mut registry = Registry::start(folder.path(), &args).await;
        registry.register(&peer("a")).await;
        let mut held = Connection::open(registry.addr).await;
        held.begin_registration("in-flight").await;
        let begun = Instant::now();
        registry.signal(first).await;
        registry.line(&format!("SIG{first} received")).await;
        registry.signal(second).await;
        assert_eq!(registry.ended().await.code(), Some(130));
        let secs = begun.elapsed().as_secs_f64();
        assert!(secs < 4.0, "{secs} s");
        registry.line("second signal").await;
        let registry = Registry::start(folder.path(), &[]).await;
        assert_eq!(registry.listed_ids().await, ["a"]);
    }
}

#[tokio::test]
async fn a_stop_ends_on_a_slow_disk_and_nothing_writes_to_the_closed_database() {
    let folder = folder();
    let library = shim(folder.path());
    // The timer that records signs of life fires each 100 ms.
    let args = ["--peer-timeout-secs=1", "--heartbeat-interval-secs=1"];
    for sync_ms in ["40", "40", "40", "40", "150"] {
        let env = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("SLOW_SYNC_MS", sync_ms),
        ];
        let mut registry = Registry::start_with(folder.path(), &args, &env).await;
        registry.register(&peer("a")).await;
        registry.stop().await;
        let lines = registry.lines().join("\n");
        assert!(!lines.contains("ERROR"), "{sync_ms} {lines}");
    }
}
