//! Requests that break the contract: each is refused with its own code, and changes nothing.

use std::cell::Cell;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{Answer, TestRegistry};

const POSTS: [&str; 3] = ["/register", "/heartbeat", "/register-turn-server"];
const JSON: &str = "application/json";
const INVALID: &str = "invalid_field";
const MISSING: &str = "missing_field";

/// A registry with one peer, and what it showed and stored before a test.
struct Settled {
    registry: TestRegistry,
    before: (Value, Value, Vec<Value>),
}

impl Settled {
    async fn start() -> Self {
        let registry = TestRegistry::start().await;
        registry.register(&register_body()).await.ok();
        // A renewal would show.
        registry.advance_secs(60);
        let before = Self::state(&registry).await;
        Self { registry, before }
    }

    async fn state(registry: &TestRegistry) -> (Value, Value, Vec<Value>) {
        let all = "includeStores=true&includeCapabilities=true";
        let listing = registry.peers(all).await.ok();
        assert_eq!(listing["total"], 1);
        let servers = registry.turn_servers().await.ok();
        (listing, servers, registry.stored_rows().await)
    }

    async fn is_as_it_was(&self) {
        assert_eq!(Self::state(&self.registry).await, self.before);
    }

    /// Sends a body without saying what it is.
    async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let request = self.registry.request(method, path).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Posts a body that must be refused; returns the error.
    async fn refuses(&self, path: &str, body: impl Into<reqwest::Body>, code: &str) -> Value {
        let answer = self.registry.post_raw(path, JSON, body).await;
        let error = answer.refused(400, code);
        let sentence = error["error"].as_str().unwrap();
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
        error
    }

    /// Posts a body that must be refused for one field.
    async fn refuses_field(&self, path: &str, body: &Value, code: &str, field: &str) {
        let error = self.refuses(path, body.to_string(), code).await;
        assert_eq!(error["field"], field, "{path} {body}");
        let sentence = error["error"].as_str().unwrap();
        assert!(sentence.starts_with(field), "{sentence}");
    }
}

fn register_body() -> Value {
    json!({
        "peerId": "a", "addresses": ["/ip6/fd00::1/tcp/1"], "cryptoIPv6": "fd00::1",
        "stores": ["s"], "version": "1", "privacyMode": false, "capabilities": {"x": {"y": "z"}},
        "turnCapable": true, "bootstrapCapable": false, "turnAddresses": ["203.0.113.20"],
        "turnPort": 3478, "turnCapacity": 10, "networkId": "mainnet", "softwareVersion": "1",
        "serverPort": 4001, "nodeType": 0, "capabilityList": [[1, "x"]],
    })
}

/// A good body for a path.
fn body_for(path: &str) -> Value {
    match path {
        "/register" => register_body(),
        "/heartbeat" => json!({ "peerId": "a" }),
        _ => json!({
            "peerId": "a", "turnAddresses": ["203.0.113.9"], "turnPort": 7, "turnCapacity": 8,
        }),
    }
}

/// The paths whose good bodies have a field.
fn paths_with(field: &str) -> impl Iterator<Item = &'static str> {
    POSTS
        .into_iter()
        .filter(move |path| !body_for(path)[field].is_null())
}

#[actix_web::test]
async fn bodies_that_are_no_json_object_are_invalid_json() {
    let settled = Settled::start().await;
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    for path in POSTS {
        let good = body_for(path).to_string();
        let in_unknown = |value: &str| good.replacen('{', &format!("{{\"unknown\":{value},"), 1);
        for body in [
            String::new(),
            "\"a\"".to_owned(),
            format!("[{good}]"),
            good[..good.len() - 1].to_owned(),
            format!("{good}{good}"),
            good.replace('"', "'"),
            deep("[", "]"),
            "{\"a\":".repeat(10_000),
            in_unknown(&deep("[", "]")),
            in_unknown(&(deep("{\"a\":", "}").replace(":}", ":1}"))),
            in_unknown("1e999"),
            in_unknown("\"\\ud800\""),
            in_unknown("\"raw\ncontrol\""),
        ] {
            let error = settled.refuses(path, body, "invalid_json").await;
            assert_eq!(error.get("field"), None);
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn bodies_that_are_no_utf_8_are_invalid_json() {
    let settled = Settled::start().await;
    for path in POSTS {
        for bytes in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80"] {
            for place in ["\"a\"", "\"peerId\"", "{"] {
                let good = body_for(path).to_string();
                let at = good.find(place).unwrap() + place.len() - 1;
                let body = [&good.as_bytes()[..at], bytes, &good.as_bytes()[at..]].concat();
                settled.refuses(path, body, "invalid_json").await;
            }
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn duplicate_keys_are_invalid_json_at_any_depth() {
    let settled = Settled::start().await;
    for path in POSTS {
        let good = body_for(path).to_string();
        for twice in [
            "\"peerId\":\"b\"",
            "\"u\":{\"v\":[{\"w\":1,\"w\":2}]}",
            "\"u\":1,\"\\u0075\":2",
        ] {
            let body = good.replacen('{', &format!("{{{twice},"), 1);
            let error = settled.refuses(path, body, "invalid_json").await;
            assert!(error["error"].as_str().unwrap().contains("duplicate key"));
        }
    }
    for twice in [r#"{"x":1,"x":2}"#, r#"{"x":{"y":[{"z":1,"z":1}]}}"#] {
        let good = register_body();
        let body = good.to_string().replace(r#"{"x":{"y":"z"}}"#, twice);
        settled.refuses("/register", body, "invalid_json").await;
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn bodies_not_declared_as_json_are_an_unsupported_media_type() {
    let settled = Settled::start().await;
    for path in POSTS {
        let body = body_for(path).to_string();
        for kind in " text/plain application/jsonx json application/json+x".split(' ') {
            let answer = settled.registry.post_raw(path, kind, body.clone()).await;
            let error = answer.refused(415, "unsupported_media_type");
            assert!(error["error"].as_str().unwrap().contains(JSON));
        }
        let answer = settled.send(Method::POST, path, body).await;
        answer.refused(415, "unsupported_media_type");
    }
    settled.is_as_it_was().await;
    let body = body_for("/heartbeat").to_string();
    let kind = "Application/JSON; charset=utf-8";
    settled
        .registry
        .post_raw("/heartbeat", kind, body)
        .await
        .ok();
}

#[actix_web::test]
async fn required_fields_that_are_absent_or_null_are_missing_fields() {
    let settled = Settled::start().await;
    for (path, field) in [
        ("/register", "peerId"),
        ("/register", "addresses"),
        ("/heartbeat", "peerId"),
        ("/register-turn-server", "peerId"),
        ("/register-turn-server", "turnAddresses"),
        ("/register-turn-server", "turnPort"),
        ("/register", "turnPort"),
    ] {
        let mut body = body_for(path);
        body[field] = Value::Null;
        settled.refuses_field(path, &body, MISSING, field).await;
        body.as_object_mut().unwrap().remove(field);
        settled.refuses_field(path, &body, MISSING, field).await;
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn fields_of_the_wrong_type_are_invalid_fields() {
    let settled = Settled::start().await;
    let kinds = json!({
        "bool": true, "number": 1, "fraction": 1.5, "negative": -1, "huge": u64::MAX,
        "string": "fd00::1", "array": [], "object": {},
    });
    let fields = [
        ("", "peerId"),
        ("array", "addresses stores turnAddresses capabilityList"),
        ("string", "cryptoIPv6 version networkId softwareVersion"),
        ("bool", "privacyMode turnCapable bootstrapCapable"),
        ("number", "turnPort turnCapacity serverPort nodeType"),
        ("object", "capabilities"),
    ];
    let fields = fields.map(|(right, fields)| fields.split(' ').map(move |field| (field, right)));
    for (field, right) in fields.into_iter().flatten() {
        let kinds = kinds.as_object().unwrap().iter();
        for (_, value) in kinds.filter(|(kind, _)| *kind != right) {
            for path in paths_with(field) {
                let mut body = body_for(path);
                body[field] = value.clone();
                settled.refuses_field(path, &body, INVALID, field).await;
            }
        }
    }
    for list in ["addresses", "stores", "turnAddresses"] {
        for entry in [json!(1), json!(null), json!([]), json!({})] {
            let mut body = register_body();
            body[list] = json!([body[list][0], entry]);
            let at = format!("{list}[1]");
            settled
                .refuses_field("/register", &body, INVALID, &at)
                .await;
        }
    }
    settled.is_as_it_was().await;
}

/// That no string field, on any path, takes this text.
async fn refused_in_every_string_field(settled: &Settled, text: &str) {
    for (field, value, at) in [
        ("peerId", json!(text), "peerId"),
        ("addresses", json!([text]), "addresses[0]"),
        ("cryptoIPv6", json!(text), "cryptoIPv6"),
        ("stores", json!([text]), "stores[0]"),
        ("version", json!(text), "version"),
        ("networkId", json!(text), "networkId"),
        ("softwareVersion", json!(text), "softwareVersion"),
        ("turnAddresses", json!([text]), "turnAddresses[0]"),
        ("capabilities", json!({ "x": [text] }), "capabilities"),
        ("capabilities", json!({ "x": {text: 1} }), "capabilities"),
        ("capabilityList", json!([[1, text]]), "capabilityList"),
    ] {
        for path in paths_with(field) {
            let mut body = body_for(path);
            body[field] = value.clone();
            settled.refuses_field(path, &body, INVALID, at).await;
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn fields_over_their_limit_are_invalid_fields() {
    let settled = Settled::start().await;
    refused_in_every_string_field(&settled, &"x".repeat(10_000)).await;
}

#[actix_web::test]
async fn control_and_invisible_characters_are_refused_in_every_string_field() {
    let settled = Settled::start().await;
    // The last five: a mark that turns the text around, a space without width, a line separator,
    // a tag, a filler.
    for hidden in [
        '\0',
        '\n',
        '\r',
        '\t',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{202e}',
        '\u{200b}',
        '\u{2028}',
        '\u{e0041}',
        '\u{3164}',
    ] {
        refused_in_every_string_field(&settled, &format!("a{hidden}b")).await;
    }
}

/// Sends `head`, then `part` again and again; returns the answer and the bytes sent meanwhile.
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
            assert!(error["error"].as_str().unwrap().contains("131072"));
            assert!(sent < 32 << 20, "{sent} bytes before the answer");
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn unknown_paths_are_not_found() {
    let settled = Settled::start().await;
    for path in "/ /nope /peers/ /peers/a /Peers //peers /%00 /register/".split(' ') {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let error = settled.send(method, path, "x".to_owned()).await;
            let error = error.refused(404, "not_found");
            assert!(error["suggestion"].as_str().unwrap().contains("/peers"));
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn wrong_methods_are_told_the_right_ones() {
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
        ("turnCapable bootstrapCapable", " yes 1 TRUE true%20"),
        ("includeStores includeCapabilities", " no 0 FALSE null"),
        ("limit", " 0 -1 x 1.5 1e3 %201 99999999999999999999999"),
        ("cursor exclude", " a%20b %00 a%0A %FF %C3%A9 a/b"),
        ("networkId version store", " %00 a%1Bb %C2%85 a%FFb"),
        ("limit cursor networkId turnCapable", "1&NAME=1"),
    ] {
        for name in names.split(' ') {
            // The first of the values is the empty one.
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
