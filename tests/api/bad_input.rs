//! Bodies that break the contract: each is refused with its own code, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::settled::{JSON, POSTS, Settled, body_for, paths_with, register_body};

const INVALID: &str = "invalid_field";
const MISSING: &str = "missing_field";

#[actix_web::test]
async fn bodies_that_are_not_json_objects_are_invalid_json() {
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
async fn bodies_that_are_not_utf_8_are_invalid_json() {
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
        ("array", "addresses turnAddresses"),
        ("string", "cryptoIPv6 networkId"),
        ("bool", "privacyMode turnCapable bootstrapCapable"),
        ("number", "turnPort turnCapacity"),
    ];
    let fields = fields.map(|(right, fields)| fields.split(' ').map(move |field| (field, right)));
    for (field, right) in fields.into_iter().flatten() {
        let kinds = kinds.as_object().unwrap().iter();
        // The number is 1, which some nodes send for true.
        // The huge one is over the max capacity, which is then stored.
        let is_wrong = |kind: &str| {
            kind != right
                && (right, kind) != ("bool", "number")
                && (field, kind) != ("turnCapacity", "huge")
        };
        for (_, value) in kinds.filter(|(kind, _)| is_wrong(kind)) {
            for path in paths_with(field) {
                let mut body = body_for(path);
                body[field] = value.clone();
                settled.refuses_field(path, &body, INVALID, field).await;
            }
        }
    }
    for entry in [json!(1), json!([]), json!({})] {
        for path in paths_with("turnAddresses") {
            let mut body = body_for(path);
            body["turnAddresses"] = json!([body["turnAddresses"][0], entry]);
            let at = "turnAddresses[1]";
            settled.refuses_field(path, &body, INVALID, at).await;
        }
    }
    settled.is_as_it_was().await;
}

/// Checks that each text by which others find the peer is refused. Other texts are dropped, see
/// `dropped`.
async fn refused_in_every_name(settled: &Settled, text: &str) {
    for (field, value, at) in [
        ("peerId", json!(text), "peerId"),
        ("cryptoIPv6", json!(text), "cryptoIPv6"),
        ("networkId", json!(text), "networkId"),
        ("turnAddresses", json!([text]), "turnAddresses[0]"),
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
async fn names_over_their_limit_are_invalid_fields() {
    let settled = Settled::start().await;
    refused_in_every_name(&settled, &"x".repeat(10_000)).await;
}

#[actix_web::test]
async fn control_and_invisible_characters_are_refused_in_every_name() {
    let settled = Settled::start().await;
    // The last five: a right-to-left override, a zero-width space, a line separator, a tag, and a
    // Hangul filler.
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
        refused_in_every_name(&settled, &format!("a{hidden}b")).await;
    }
}
