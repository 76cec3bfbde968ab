//! Requests whose path, method, query or length breaks the contract.

use std::cell::Cell;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::TestRegistry;
use crate::settled::{JSON, POSTS, Settled};

/// Sends `head`, then `part` repeatedly until the response arrives. Returns the response and the
/// number of bytes sent.
async fn flood(registry: &TestRegistry, head: &str, part: &[u8]) -> (String, usize) {
    let stream = TcpStream::connect(registry.addr()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let sent = Cell::new(0);
    let write = async {
        while writer.write_all(part).await.is_ok() {
            sent.set(sent.get() + part.len());
            assert!(sent.get() < 64 << 20, "the server takes whatever comes");
        }
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut answer = Vec::new();
        let mut some = [0; 4096];
        while !answer.ends_with(b"}") {
            let length = reader.read(&mut some).await.unwrap();
            assert_ne!(length, 0, "closed without an answer: {answer:?}");
            answer.extend_from_slice(&some[..length]);
        }
        String::from_utf8(answer).unwrap()
    };
    tokio::select! {
        answer = read => (answer, sent.get()),
        () = write => unreachable!(),
    }
}

#[actix_web::test]
async fn bodies_without_end_are_refused_once_the_limit_is_passed() {
    let settled = Settled::start().await;
    let part = [b"4000\r\n", &[b' '; 0x4000][..], b"\r\n"].concat();
    let whole = vec![b' '; 10_000_000];
    for path in POSTS {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let sized = format!("{head}Content-Length: {}\r\n\r\n", whole.len());
        for (head, part) in [(chunked, &part), (sized, &whole)] {
            let (answer, sent) = flood(&settled.registry, &head, part).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let error: Value = serde_json::from_str(body).unwrap();
            assert_eq!(error["code"], "payload_too_large");
            assert!(error["error"].as_str().unwrap().contains("524288"));
            assert!(sent < 32 << 20, "{sent} bytes before the answer");
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn unknown_paths_are_not_found() {
    let settled = Settled::start().await;
    for path in "/ /nope /peers/a/b /Peers /%00 /register/a".split(' ') {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let error = settled.send(method, path, "x".to_owned()).await;
            let error = error.refused(404, "not_found");
            assert!(error["suggestion"].as_str().unwrap().contains("/peers"));
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn a_wrong_method_gets_405_with_the_allowed_methods() {
    let settled = Settled::start().await;
    let gets = ["/peers", "/turn-servers", "/stats", "/health"];
    for (paths, allowed) in [(&POSTS[..], "POST"), (&gets, "GET, HEAD")] {
        let methods = "GET POST PUT PATCH DELETE OPTIONS BREW".split(' ');
        for method in methods.filter(|method| !allowed.contains(method)) {
            for path in paths {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let answer = settled.send(method, path, "x".to_owned()).await;
                assert_eq!(answer.header("allow"), Some(allowed), "{path}");
                let error = answer.refused(405, "method_not_allowed");
                assert!(error["error"].as_str().unwrap().contains(allowed));
            }
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn bad_query_parameters_are_invalid_fields() {
    let settled = Settled::start().await;
    for (names, values) in [
        ("turnCapable bootstrapCapable", "maybe 2 truee"),
        ("includeStores includeCapabilities", "null 00 falsch"),
        ("limit", "0 -1 x 1.5 1e3 99999999999999999999999"),
        ("cursor exclude", "a%20b %00 a%0A %FF %C3%A9 a/b"),
        ("networkId version store", "%00 a%1Bb %C2%85 a%FFb"),
        ("limit cursor networkId turnCapable", "1&NAME=2"),
    ] {
        for name in names.split(' ') {
            for value in values.split(' ') {
                refused_query(&settled, name, &value.replace("NAME", name)).await;
            }
        }
    }
    settled.is_as_it_was().await;
}

async fn refused_query(settled: &Settled, name: &str, value: &str) {
    let answer = settled.registry.peers(&format!("{name}={value}")).await;
    let error = answer.refused(400, "invalid_field");
    assert_eq!(error["field"], name, "{value}");
    assert!(error["error"].as_str().unwrap().starts_with(name));
}
