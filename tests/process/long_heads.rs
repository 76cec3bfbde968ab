//! Request heads have a max length, at any place in a connection and even if they are incomplete.

use crate::child::{Registry, folder};
use crate::wire::{Answer, Connection};

fn long_head(bytes: usize) -> String {
    let padding = "x".repeat(bytes);
    format!("GET /health HTTP/1.1\r\nHost: test\r\nX-Padding: {padding}\r\n\r\n")
}

/// Checks that the response, if the client received one, refuses the head.
#[track_caller]
fn assert_refused(answer: Option<Answer>) {
    if let Some(answer) = answer {
        assert_eq!(answer.status, 431, "{answer:?}");
        assert_eq!(answer.body["code"], "head_too_large", "{answer:?}");
        let head = answer.head.to_ascii_lowercase();
        assert!(head.contains("connection: close"), "{head}");
    }
}

#[tokio::test]
async fn a_long_head_is_refused_whether_it_ends_or_not() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut fits = Connection::open(registry.addr).await;
    fits.send(&long_head(16_000)).await;
    assert_eq!(fits.answer().await.expect("an answer").status, 200);
    for bytes in [16_384, 17_000, 20_000, 100_000] {
        for is_whole in [true, false] {
            let mut long = Connection::open(registry.addr).await;
            let head = long_head(bytes);
            let head = if is_whole { &*head } else { head.trim_end() };
            long.send_if_open(head).await;
            if bytes < 18_000 && !is_whole {
                // An incomplete head of this length may still end within the max.
                continue;
            }
            assert_refused(long.answer().await);
            long.closed().await;
            assert!(long.age_secs() < 4.0, "{bytes}: {} s", long.age_secs());
        }
    }
    registry.line("a request head was too long").await;
}

#[tokio::test]
async fn a_long_head_after_a_good_request_is_refused() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let good = "GET /health HTTP/1.1\r\nHost: test\r\n\r\n";
    let long = long_head(200_000);
    let mut later = Connection::open(registry.addr).await;
    assert_eq!(later.get("/health").await.status, 200);
    later.send_if_open(long.trim_end()).await;
    assert_refused(later.answer().await);
    later.closed().await;
    let mut behind = Connection::open(registry.addr).await;
    behind
        .send_if_open(&format!("{good}{}", long.trim_end()))
        .await;
    assert_eq!(behind.answer().await.expect("an answer").status, 200);
    assert_refused(behind.answer().await);
    behind.closed().await;
    assert!(behind.age_secs() < 4.0, "{} s", behind.age_secs());
}

#[tokio::test]
async fn the_max_length_of_a_head_is_a_setting() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-head-bytes=2048"]).await;
    let mut long = Connection::open(registry.addr).await;
    long.send_if_open(&long_head(2048)).await;
    assert_refused(long.answer().await);
    let mut fits = Connection::open(registry.addr).await;
    fits.send(&long_head(1900)).await;
    assert_eq!(fits.answer().await.expect("an answer").status, 200);
}

#[tokio::test]
async fn many_small_requests_in_a_row_are_all_answered() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut pipelined = Connection::open(registry.addr).await;
    let request = "GET /health HTTP/1.1\r\nHost: test\r\n\r\n";
    pipelined.send(&request.repeat(500)).await;
    for at in 0..500 {
        let answer = pipelined.answer().await;
        assert_eq!(answer.expect("an answer").status, 200, "{at}");
    }
}

#[tokio::test]
async fn half_heads_of_a_crowd_cost_little_memory() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-head-bytes=98304"]).await;
    let before_kib = registry.memory_kib();
    let head = long_head(90_000);
    let mut crowd = Vec::new();
    for _ in 0..800 {
        let mut half = Connection::open(registry.addr).await;
        half.send_if_open(head.trim_end()).await;
        crowd.push(half);
    }
    // A client that sends little is not affected.
    let mut small = Connection::open(registry.addr).await;
    assert_eq!(small.get("/health").await.status, 200);
    let grown_kib = registry.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 90 << 10, "{grown_kib} KiB");
    registry.line("half-received requests use all memory").await;
}
