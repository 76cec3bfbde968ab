//! Responses and signals while the database is read.

use reqwest::StatusCode;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;

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
