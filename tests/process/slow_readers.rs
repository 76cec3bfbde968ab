//! Clients that do not read their responses use little memory, and are cut off.

use serde_json::json;
use tokio::time::{Duration, Instant, interval};

use crate::child::{Registry, folder, peer};
use crate::wire::Connection;

/// A registry whose list takes some 8 KiB for each of `peers`.
async fn start_with_list(folder: &std::path::Path, peers: usize, args: &[&str]) -> Registry {
    let registry = Registry::start(folder, args).await;
    for at in 0..peers {
        let mut large = peer(&format!("peer-{at}"));
        large["capabilities"] = json!({ "note": "x".repeat(8_000) });
        registry.register(&large).await;
    }
    registry
}

const LIST: &str = "GET /peers?includeCapabilities=true HTTP/1.1\r\nHost: test\r\n\r\n";

async fn assert_lists(registry: &Registry, peers: usize) {
    let (status, body) = registry.get("/peers?includeCapabilities=true").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["peers"].as_array().map(Vec::len), Some(peers));
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_cut_off() {
    let folder = folder();
    let args = ["--response-timeout-secs=3"];
    // More than the kernel buffers for a client.
    let registry = start_with_list(folder.path(), 115, &args).await;
    let mut slow = Connection::open_narrow(registry.addr).await;
    slow.send(LIST).await;
    let mut ticks = interval(Duration::from_millis(200));
    let begun = Instant::now();
    let mut taken = 0;
    loop {
        ticks.tick().await;
        match slow.read_some(1024).await {
            0 => break,
            bytes => taken += bytes,
        }
        assert!(begun.elapsed().as_secs() < 20, "{taken} bytes so far");
    }
    assert!(taken < 400_000, "{taken} bytes");
    registry.line("a response was not received in time").await;
}

#[tokio::test]
async fn a_client_that_reads_steadily_gets_everything() {
    let folder = folder();
    let registry = start_with_list(folder.path(), 60, &[]).await;
    assert_lists(&registry, 60).await;
    let mut narrow = Connection::open_narrow(registry.addr).await;
    narrow.send(LIST).await;
    let answer = narrow.answer().await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["returned"], 60);
    // The connection still works.
    assert_eq!(narrow.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_crowd_that_never_reads_costs_little_and_keeps_nobody_from_the_list() {
    let folder = folder();
    let registry = start_with_list(folder.path(), 20, &[]).await;
    assert_lists(&registry, 20).await;
    let before_kib = registry.memory_kib();
    let mut crowd = Vec::new();
    for _ in 0..400 {
        let mut greedy = Connection::open_narrow(registry.addr).await;
        greedy.send(&LIST.repeat(3)).await;
        crowd.push(greedy);
    }
    // At worst, other clients get 503 until the crowd has passed through the lane.
    let mut tries = interval(Duration::from_millis(200));
    let begun = Instant::now();
    loop {
        tries.tick().await;
        let (status, body) = registry.get("/peers?includeCapabilities=true").await;
        if status == 200 {
            break;
        }
        assert_eq!(body["code"], "overloaded");
        assert!(begun.elapsed().as_secs() < 15, "still overloaded");
    }
    let beat = registry
        .post("/heartbeat", &json!({ "peerId": "peer-1" }))
        .await;
    assert_eq!(beat.0, 200);
    let grown_kib = registry.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 150 << 10, "{grown_kib} KiB");
}

#[tokio::test]
async fn a_crowd_that_wants_everything_compressed_is_served_and_starves_nobody() {
    let folder = folder();
    let registry = start_with_list(folder.path(), 20, &[]).await;
    assert_lists(&registry, 20).await;
    let before_kib = registry.memory_kib();
    let request = LIST.replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n");
    let mut crowd = Vec::new();
    for _ in 0..150 {
        let mut one = Connection::open(registry.addr).await;
        one.send(&request).await;
        crowd.push(one);
    }
    let begun = Instant::now();
    let beat = registry
        .post("/heartbeat", &json!({ "peerId": "peer-1" }))
        .await;
    assert_eq!(beat.0, 200);
    assert!(begun.elapsed().as_secs_f64() < 3.0);
    for one in &mut crowd {
        assert_eq!(one.answer().await.expect("an answer").status, 200);
    }
    let grown_kib = registry.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 150 << 10, "{grown_kib} KiB");
}
