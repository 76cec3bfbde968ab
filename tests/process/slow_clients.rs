//! A slow client does not affect others. The tests wait until the server acts and check how long that
//! took; they run in parallel.

use std::ops::RangeInclusive;

use crate::child::{Registry, folder};
use crate::wire::Connection;

/// About five seconds, on a machine that may be busy.
const FIVE_SECS: RangeInclusive<f64> = 4.0..=12.0;

#[track_caller]
fn assert_in(secs: f64, range: &RangeInclusive<f64>) {
    assert!(range.contains(&secs), "{secs} s, not {range:?}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut slow = Connection::open(registry.addr).await;
    slow.send("GET /health HTTP/1.1\r\nHost: te").await;
    if let Some(answer) = slow.answer().await {
        assert_eq!(answer.status, 408, "{answer:?}");
        slow.closed().await;
    }
    assert_in(slow.age_secs(), &FIVE_SECS);
}

#[tokio::test]
async fn a_later_head_that_never_ends_is_cut_off() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut slow = Connection::open(registry.addr).await;
    assert_eq!(slow.get("/health").await.status, 200);
    slow.send("GET /health HTTP/1.1\r\nHost: te").await;
    if let Some(answer) = slow.answer().await {
        assert_eq!(answer.status, 408, "{answer:?}");
        slow.closed().await;
    }
    assert_in(slow.age_secs(), &(4.0..=25.0));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut silent = Connection::open(registry.addr).await;
    silent.closed().await;
    assert_in(silent.age_secs(), &FIVE_SECS);
}

/// Sends a registration whose body never ends; returns the connection once it was refused.
async fn send_endless_body(registry: &Registry, framing: &str, first: &str) -> Connection {
    let mut slow = Connection::open(registry.addr).await;
    slow.send(&format!(
        "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         {framing}\r\n\r\n{first}"
    ))
    .await;
    let answer = slow.answer().await.expect("an answer");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(answer.body["code"], "request_timeout", "{answer:?}");
    assert_in(slow.age_secs(), &FIVE_SECS);
    slow
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused_and_its_connection_closed() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut slow = send_endless_body(&registry, "Content-Length: 100", "{\"pee").await;
    slow.closed().await;
    assert_in(slow.age_secs(), &(4.0..=20.0));
}

#[tokio::test]
async fn a_chunked_body_that_never_ends_is_refused() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let chunk = "5\r\n{\"pee\r\n";
    send_endless_body(&registry, "Transfer-Encoding: chunked", chunk).await;
}

#[tokio::test]
async fn the_connection_of_a_chunked_body_that_never_ends_is_closed() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let chunk = "5\r\n{\"pee\r\n";
    let mut slow = send_endless_body(&registry, "Transfer-Encoding: chunked", chunk).await;
    slow.closed().await;
    assert_in(slow.age_secs(), &(4.0..=30.0));
}

async fn assert_unread_body_is_not_waited_for(framing: &str, first: &str) {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut slow = Connection::open(registry.addr).await;
    slow.send(&format!(
        "GET /health HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{first}"
    ))
    .await;
    let answer = slow.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    slow.closed().await;
    assert_in(slow.age_secs(), &(0.0..=25.0));
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_waited_for_for_ever() {
    assert_unread_body_is_not_waited_for("Content-Length: 100", "x").await;
}

#[tokio::test]
async fn a_chunked_body_that_nobody_reads_is_not_waited_for_for_ever() {
    assert_unread_body_is_not_waited_for("Transfer-Encoding: chunked", "5\r\nabcde\r\n").await;
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut greedy = Connection::open(registry.addr).await;
    // More responses than fit into all buffers between server and client.
    greedy
        .send_without_reading("GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        .await;
    assert_in(greedy.age_secs(), &(13.0..=40.0));
}

#[tokio::test]
async fn a_balancer_may_reuse_a_connection_for_as_long_as_the_setting_says() {
    let folder = folder();
    let args = [
        "--keep-alive-secs=8",
        "--head-timeout-secs=1",
        "--body-timeout-secs=2",
    ];
    let registry = Registry::start(folder.path(), &args).await;
    let mut idle = Connection::open(registry.addr).await;
    assert_eq!(idle.get("/health").await.status, 200);
    let mut slow = Connection::open(registry.addr).await;
    slow.send("GET /health HTTP/1.1\r\nHost: te").await;
    let answer = slow.answer().await.expect("a refusal");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!(
        answer.body["error"].as_str().unwrap().contains("1 s"),
        "{answer:?}"
    );
    assert_in(slow.age_secs(), &(0.9..=4.0));
    let mut slow = Connection::open(registry.addr).await;
    slow.send(
        "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{",
    )
    .await;
    let answer = slow.answer().await.expect("a refusal");
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_in(slow.age_secs(), &(1.9..=5.0));
    idle.closed().await;
    assert_in(idle.age_secs(), &(7.5..=14.0));
}
