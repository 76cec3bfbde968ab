//! Many connections neither keep others out nor delay the end of the process.

use std::fs;

use serde_json::json;
use tokio::time::Instant;

use crate::child::{Registry, folder, peer};
use crate::wire::Connection;

async fn crowd(registry: &Registry, count: usize) -> Vec<Connection> {
    let mut crowd = Vec::new();
    for _ in 0..count {
        crowd.push(Connection::open(registry.addr).await);
    }
    crowd
}

#[tokio::test]
async fn a_newcomer_gets_in_when_all_places_are_taken_and_an_idle_connection_is_closed() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-connections=20"]).await;
    let mut crowd = crowd(&registry, 20).await;
    for one in &mut crowd {
        assert_eq!(one.get("/health").await.status, 200);
    }
    // Now the first connection has been idle for less time than the others.
    assert_eq!(crowd[0].get("/health").await.status, 200);
    let mut newcomer = Connection::open(registry.addr).await;
    assert_eq!(newcomer.get("/health").await.status, 200);
    assert!(newcomer.age_secs() < 4.0, "{} s", newcomer.age_secs());
    registry.line("1 connections closed for new ones").await;
    assert_eq!(crowd[0].get("/health").await.status, 200);
    let mut closed = 0;
    for one in &mut crowd {
        closed += usize::from(one.try_get("/health").await.is_none());
    }
    // Which of the others is closed is tested at the table itself: here their idle times may be equal.
    assert_eq!(closed, 1);
}

#[tokio::test]
async fn newcomers_get_in_while_a_crowd_reconnects_repeatedly() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-connections=30"]).await;
    registry.register(&peer("a")).await;
    let mut crowd = crowd(&registry, 30).await;
    for _ in 0..10 {
        for one in &mut crowd {
            if one.try_get("/health").await.is_none() {
                *one = Connection::open(registry.addr).await;
            }
        }
        let mut newcomer = Connection::open(registry.addr).await;
        let answer = newcomer.post("/heartbeat", &json!({ "peerId": "a" })).await;
        assert_eq!(answer.expect("an answer").status, 200);
    }
}

#[tokio::test]
async fn half_sent_requests_do_not_hold_all_places() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-connections=12"]).await;
    let mut crowd = crowd(&registry, 12).await;
    for (at, one) in crowd.iter_mut().enumerate() {
        if at % 2 == 0 {
            one.send("GET /health HTTP/1.1\r\nHost: te").await;
        } else {
            one.begin_registration("half").await;
        }
    }
    let begun = Instant::now();
    for _ in 0..6 {
        let mut newcomer = Connection::open(registry.addr).await;
        assert_eq!(newcomer.get("/health").await.status, 200);
    }
    assert!(begun.elapsed().as_secs_f64() < 4.0);
}

#[tokio::test]
async fn a_crowd_larger_than_max_connections_does_no_lasting_harm() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--max-connections=8"]).await;
    let crowd = crowd(&registry, 200).await;
    drop(crowd);
    assert_gets_in(&registry).await;
}

/// Checks that a newcomer gets a response. It retries like any client, because a late connection of
/// the crowd may take its place before it has sent a request.
async fn assert_gets_in(registry: &Registry) {
    for _ in 0..20 {
        let mut newcomer = Connection::open(registry.addr).await;
        if let Some(answer) = newcomer.try_get("/health").await {
            assert_eq!(answer.status, 200);
            assert!(newcomer.age_secs() < 4.0, "{} s", newcomer.age_secs());
            return;
        }
    }
    panic!("nobody gets in");
}

#[tokio::test]
async fn large_bodies_of_a_crowd_share_a_budget_that_heartbeats_do_not_need() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    let before_kib = registry.memory_kib();
    let half = "x".repeat(120_000);
    let head = "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
                Content-Length: 131072\r\n\r\n";
    let mut crowd = crowd(&registry, 320).await;
    for one in &mut crowd {
        one.send_if_open(head).await;
        one.send_if_open(&half).await;
    }
    let beat = registry.post("/heartbeat", &json!({ "peerId": "a" })).await;
    assert_eq!(beat.0, 200);
    let grown_kib = registry.memory_kib().saturating_sub(before_kib);
    assert!(grown_kib < 80 << 10, "{grown_kib} KiB");
    let mut refused = 0;
    for one in &mut crowd {
        let answer = one.answer().await;
        refused += usize::from(answer.is_some_and(|answer| answer.status == 503));
    }
    assert!(refused >= 10, "{refused}");
    registry.register(&peer("b")).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_crowd_no_longer_than_its_timeout() {
    let folder = folder();
    let args = ["--shutdown-timeout-secs=2"];
    let mut registry = Registry::start(folder.path(), &args).await;
    let mut crowd = crowd(&registry, 600).await;
    for (at, one) in crowd.iter_mut().enumerate() {
        match at % 4 {
            0 => {}
            1 => one.send("GET /health HTTP/1.1\r\nHost: te").await,
            2 => {
                one.send(&"GET /peers HTTP/1.1\r\nHost: test\r\n\r\n".repeat(20))
                    .await
            }
            _ => drop(one.begin_registration("half").await),
        }
    }
    let begun = Instant::now();
    registry.signal("TERM").await;
    assert_eq!(registry.ended().await.code(), Some(0));
    let secs = begun.elapsed().as_secs_f64();
    assert!(secs < 6.0, "{secs} s");
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    let folder = folder();
    let limits = "ulimit -Sn 100";
    let registry = Registry::start_limited(folder.path(), &["--max-connections=300"], limits).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", registry.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = line.unwrap().split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "{line:?}");
}

#[tokio::test]
async fn too_low_a_limit_of_open_files_is_logged_and_does_not_stop_the_server() {
    let folder = folder();
    let args = ["--max-connections=100"];
    let registry = Registry::start_limited(folder.path(), &args, "ulimit -n 150").await;
    registry.line("the system allows 150").await;
    let _crowd = crowd(&registry, 140).await;
    assert_gets_in(&registry).await;
}
