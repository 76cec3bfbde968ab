//! Responses and signals while the database is read.

use std::time::Duration;

use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::child::{Registry, command, folder, peer, soon};
use crate::database;

/// A registry whose start waits for an operator's transaction, with its address.
async fn held_start(folder: &std::path::Path) -> (SqliteConnection, tokio::process::Child, String) {
    let mut registry = Registry::start(folder, &[]).await;
    registry.register(&peer("a")).await;
    registry.stop().await;
    let mut operator = database::open_in(folder).await;
    database::execute(&mut operator, "BEGIN IMMEDIATE").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let listen = format!("--listen-addr={addr}");
    let child = command(folder, &[&listen], &[]).spawn().unwrap();
    (operator, child, format!("http://{addr}"))
}

/// Retries until something listens.
async fn get(url: &str, path: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(10));
    let answer = async {
        loop {
            interval.tick().await;
            if let Ok(response) = client.get(format!("{url}{path}")).send().await {
                return response;
            }
        }
    };
    soon("an answer", answer).await
}

#[tokio::test]
async fn while_it_starts_it_says_so_and_then_serves_at_the_same_place() {
    let folder = folder();
    let (operator, child, url) = held_start(folder.path()).await;
    let response = get(&url, "/health").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let health: Value = response.json().await.unwrap();
    assert_eq!(health["status"], "starting", "{health}");
    assert_eq!(health["service"], "peer-registry");
    assert_eq!(
        (&health["leaseSecs"], &health["heartbeatIntervalSecs"]),
        (&600.into(), &120.into())
    );
    assert!(
        health["loadedRows"].is_u64() && health["totalRows"].is_u64(),
        "{health}"
    );
    let response = get(&url, "/peers").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    let refusal: Value = response.json().await.unwrap();
    assert_eq!(refusal["code"], "starting", "{refusal}");

    drop(operator);
    let served = async {
        loop {
            let response = get(&url, "/peers").await;
            if response.status() == StatusCode::OK {
                return response.json::<Value>().await.unwrap();
            }
        }
    };
    let listing = soon("a listing", served).await;
    assert_eq!(listing["total"], 1, "{listing}");
    // What was refused before counts too.
    let stats: Value = get(&url, "/stats").await.json().await.unwrap();
    assert!(stats["refusals"]["starting"].as_u64() >= Some(1), "{stats}");
    drop(child);
}

#[tokio::test]
async fn sigterm_while_it_starts_ends_it_in_order() {
    let folder = folder();
    let (operator, mut child, url) = held_start(folder.path()).await;
    get(&url, "/health").await;
    let pid = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(sent.unwrap().success());
    let status = soon("the end of the process", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    drop(operator);
}

/// Raises this process's limit on open files to its maximum.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

#[tokio::test]
async fn half_heads_do_not_hide_the_health_of_a_start() {
    raise_open_files();
    for half_heads in [256, 2000] {
        let folder = folder();
        let (operator, child, url) = held_start(folder.path()).await;
        get(&url, "/health").await;
        let addr = url.trim_start_matches("http://");
        let mut open = Vec::new();
        for _ in 0..half_heads {
            let mut half = soon("a connection", TcpStream::connect(addr))
                .await
                .unwrap();
            let _ = half.write_all(b"GET /health HTTP/1.1\r\nHost: t").await;
            open.push(half);
        }
        let asked = Instant::now();
        let response = get(&url, "/health").await;
        let waited = asked.elapsed();
        // It takes milliseconds. The time limit of a head is 5 s.
        assert!(waited < Duration::from_secs(2), "{half_heads}: {waited:?}");
        let health: Value = response.json().await.unwrap();
        assert_eq!(health["status"], "starting", "{half_heads}: {health}");
        drop((open, operator, child));
    }
}
