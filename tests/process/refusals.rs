//! The log says what is refused, why, and how often, at a bounded rate.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::child::{Registry, folder, peer};

#[tokio::test]
async fn a_storm_of_refusals_is_logged_once_with_an_example_and_no_secret() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    for at in 0..50 {
        let mut body = peer(&format!("direct-{at}"));
        body["addresses"] = json!(["/ip4/203.0.113.9/tcp/4001"]);
        body["realAddresses"] = json!({ "ipv4": "198.51.100.7" });
        assert_eq!(registry.post("/register", &body).await.0, 403);
        assert_eq!(registry.get("/no\u{1b}where?token=hunter2").await.0, 404);
    }
    let line = registry.line("code=privacy_violation").await;
    for part in [
        "WARN",
        "count=1",
        "method=\"POST\"",
        "path=\"/register\"",
        "peer=\"direct-0\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let reason = line.split_once("error=").unwrap().1;
    assert!(reason.contains("addresses[0]"), "{line}");
    registry.line("code=not_found").await;
    let lines = registry.lines();
    for code in ["privacy_violation", "not_found"] {
        let about = |line: &&String| line.contains(&format!("code={code}"));
        assert!(
            (1..=2).contains(&lines.iter().filter(about).count()),
            "{lines:#?}"
        );
    }
    for secret in [
        "203.0.113.9",
        "198.51.100.7",
        "hunter2",
        "127.0.0.1\"",
        "\u{1b}",
    ] {
        let is_told = lines.iter().any(|line| line.contains(secret));
        assert!(!is_told, "{secret}: {lines:#?}");
    }
    // The rest follows when the window ends.
    let rest = registry.line("code=privacy_violation count=49").await;
    assert!(rest.contains("addresses[0]"), "{rest}");
    // Its example is the first one that the line before did not count.
    assert!(rest.contains("peer=\"direct-1\""), "{rest}");
}

#[tokio::test]
async fn a_refused_body_names_its_peer_in_the_log() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut body = peer("odd-network");
    body["networkId"] = json!("main\n[2026-01-01T00:00:00Z INFO] forged");
    assert_eq!(registry.post("/register", &body).await.0, 400);
    let line = registry.line("code=invalid_field").await;
    assert!(line.contains("peer=\"odd-network\""), "{line}");
    assert!(!registry.lines().iter().any(|line| line.contains("forged")));
}

/// Sends `input` to the registry; returns what it sends until it closes.
async fn raw(registry: &Registry, input: &[u8]) -> String {
    let mut stream = TcpStream::connect(registry.addr).await.unwrap();
    stream.write_all(input).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn input_that_is_not_http_is_told_in_the_log() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    let body = "{\"peerId\":\"a\"}";
    let head = "POST /heartbeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let good = format!(
        "{head}Content-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for expect in ["", "Expect: 100-continue\r\n"] {
        let answer = raw(&registry, format!("{good}{expect}\r\n{body}").as_bytes()).await;
        assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    }
    let not_http = "not well-formed HTTP";
    let is_told = || registry.lines().iter().any(|line| line.contains(not_http));
    assert!(!is_told(), "a good request was taken for a bad one");
    let hello = b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03\r\n\r\n";
    let answer = raw(&registry, hello).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let line = registry.line(not_http).await;
    assert!(line.contains("1 connections"), "{line}");
}
