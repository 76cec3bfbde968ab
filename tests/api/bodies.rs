//! Bodies as clients send them: what can be read is taken, and what cannot is refused for its true
//! cause.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::helpers::{TestRegistry, with_peers};
use crate::settled::{JSON, POSTS, Settled, body_for};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

async fn post_encoded(
    registry: &TestRegistry,
    path: &str,
    coding: &str,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let request = registry.request(Method::POST, path);
    let request = request.header("content-type", JSON);
    let request = request.header("content-encoding", coding).body(body);
    Answer::of(request.send().await.unwrap()).await
}

fn sentence(error: &Value) -> &str {
    error["error"].as_str().unwrap()
}

#[actix_web::test]
async fn a_byte_order_mark_dropped_the_node() {
    let registry = with_peers(&[], &["a"]).await;
    for path in POSTS {
        let body = format!("\u{feff}{}", body_for(path));
        registry.post_raw(path, JSON, body).await.ok();
    }
}

#[actix_web::test]
async fn gzip_bodies_were_called_invalid_json() {
    let registry = with_peers(&[], &["a"]).await;
    for path in POSTS {
        let body = gzip(body_for(path).to_string().as_bytes());
        for coding in ["gzip", "GZIP", "x-gzip", "identity, gzip"] {
            post_encoded(&registry, path, coding, body.clone())
                .await
                .ok();
        }
        let plain = body_for(path).to_string();
        post_encoded(&registry, path, "identity", plain).await.ok();
    }
}

#[actix_web::test]
async fn broken_gzip_bodies_are_refused_for_their_true_cause() {
    let settled = Settled::start().await;
    let good = gzip(body_for("/heartbeat").to_string().as_bytes());
    let mut corrupt = good.clone();
    let checksum = corrupt.len() - 8;
    corrupt[checksum] ^= 1;
    let cases = [
        (good[..good.len() / 2].to_vec(), "ends in the middle"),
        (good[..4].to_vec(), "ends in the middle"),
        (corrupt, "is not gzip"),
        (body_for("/heartbeat").to_string().into(), "is not gzip"),
        ([good.clone(), b"more".to_vec()].concat(), "follows"),
        ([good.clone(), good.clone()].concat(), "follows"),
        (Vec::new(), "empty"),
        (gzip(b""), "empty"),
        (gzip(b"{\"peerId\""), "ends in the middle of its JSON"),
        (gzip(&good), "Content-Encoding: gzip is missing"),
    ];
    for (body, part) in cases {
        let answer = post_encoded(&settled.registry, "/heartbeat", "gzip", body).await;
        let error = answer.refused(400, "invalid_json");
        assert!(sentence(&error).contains(part), "{part}: {error}");
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn a_gzip_bomb_is_refused_at_the_limit() {
    let settled = Settled::start().await;
    let max = settled.registry.config.http.max_body_bytes;
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < max, "{}", bomb.len());
    for body in [bomb, gzip(&vec![b' '; max + 1])] {
        let answer = post_encoded(&settled.registry, "/register", "gzip", body).await;
        let error = answer.refused(413, "payload_too_large");
        assert!(sentence(&error).contains("uncompressed"), "{error}");
    }
    // A body of exactly the maximum is read.
    let spaces = max - body_for("/heartbeat").to_string().len();
    let body = format!("{}{}", " ".repeat(spaces), body_for("/heartbeat"));
    let answer = post_encoded(
        &settled.registry,
        "/heartbeat",
        "gzip",
        gzip(body.as_bytes()),
    )
    .await;
    answer.ok();
}

#[actix_web::test]
async fn other_compressions_are_refused_with_the_allowed_one() {
    let settled = Settled::start().await;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let plain = body_for("/heartbeat").to_string();
    encoder.write_all(plain.as_bytes()).unwrap();
    let deflated = encoder.finish().unwrap();
    for coding in [
        "deflate",
        "br",
        "zstd",
        "compress",
        "gzip, gzip",
        "gzip, br",
    ] {
        for path in POSTS {
            let answer = post_encoded(&settled.registry, path, coding, deflated.clone()).await;
            assert_eq!(answer.header("accept-encoding"), Some("gzip"));
            let error = answer.refused(415, "unsupported_media_type");
            let sentence = sentence(&error);
            assert!(
                sentence.contains("gzip") && sentence.ends_with(coding),
                "{sentence}"
            );
        }
    }
    settled.is_as_it_was().await;
    for (body, part) in [
        (gzip(plain.as_bytes()), "Content-Encoding: gzip is missing"),
        (deflated, "deflate"),
    ] {
        let error = settled.refuses("/heartbeat", body, "invalid_json").await;
        assert!(sentence(&error).contains(part), "{error}");
    }
}

#[actix_web::test]
async fn other_types_and_character_sets_are_named() {
    let settled = Settled::start().await;
    let body = body_for("/heartbeat").to_string();
    for (kind, part) in [
        ("text/plain;charset=UTF-8", "not text/plain"),
        (
            "application/x-www-form-urlencoded",
            "not application/x-www-form-urlencoded",
        ),
        ("multipart/form-data; boundary=x", "not multipart/form-data"),
        ("application/json; charset=utf-16", "not utf-16"),
        ("application/json; charset=\"latin1\"", "not latin1"),
    ] {
        for path in POSTS {
            let answer = settled.registry.post_raw(path, kind, body.clone()).await;
            let error = answer.refused(415, "unsupported_media_type");
            assert!(sentence(&error).contains(part), "{error}");
        }
    }
    let answer = settled.send(Method::POST, "/heartbeat", body.clone()).await;
    let error = answer.refused(415, "unsupported_media_type");
    assert!(sentence(&error).contains("missing"), "{error}");
    settled.is_as_it_was().await;
    for kind in [
        "application/json; charset=utf-8",
        "application/json; charset=\"UTF-8\"",
        "application/vnd.node+json",
    ] {
        let answer = settled.registry.post_raw("/heartbeat", kind, body.clone());
        answer.await.ok();
    }
}

#[actix_web::test]
async fn no_body_is_refused_as_an_expected_value_in_column_1() {
    let settled = Settled::start().await;
    let json = body_for("/heartbeat").to_string();
    let utf16: Vec<u8> = json.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for path in POSTS {
        for (body, part) in [
            (utf16.clone(), "UTF-16"),
            (b"{\"peerId\":\"\xff\"}".to_vec(), "byte 11 (0xff)"),
            (Vec::new(), "empty"),
            (b" \r\n".to_vec(), "empty"),
            (format!("[{json}]").into(), "not an array"),
            (
                format!("{json:?}").into(),
                "not a string: send the object itself",
            ),
            (b"1".to_vec(), "not a number"),
            (b"null".to_vec(), "not null"),
            (json[..json.len() - 1].into(), "ends in the middle"),
            (b"peerId=a".to_vec(), "form-encoded"),
            (b"{\"peerId\":NaN}".to_vec(), "NaN"),
            (b"{'peerId':'a'}".to_vec(), "quotes"),
            (b"{\"peerId\":\"a\",}".to_vec(), "no comma"),
            (b"{\"peerId\":\"a\"/**/}".to_vec(), "no comments"),
        ] {
            let error = settled.refuses(path, body, "invalid_json").await;
            let sentence = sentence(&error);
            assert!(sentence.contains(part), "{part}: {sentence}");
            assert!(!sentence.ends_with("line 1 column 1"), "{sentence}");
        }
    }
    settled.is_as_it_was().await;
}

/// Sends `head`, waits for `first` if it is not empty, sends `rest`, and returns the response.
async fn exchange(registry: &TestRegistry, head: &str, first: &str, rest: &[u8]) -> String {
    let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = vec![0; first.len()];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(String::from_utf8(interim).unwrap(), first);
    stream.write_all(rest).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[actix_web::test]
async fn chunked_and_announced_bodies_are_taken() {
    let registry = with_peers(&[], &["a"]).await;
    let body = body_for("/heartbeat").to_string();
    let head = format!(
        "POST /heartbeat HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {JSON}\r\n"
    );
    let chunks: String = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let answer = exchange(&registry, &chunked, "", (chunks + "0\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let expecting = format!(
        "{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let answer = exchange(&registry, &expecting, interim, body.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
