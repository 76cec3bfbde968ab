//! Requests about relaying that break the contract: each is refused for its field, and changes
//! nothing.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::{ADMIN_TOKEN, TestRegistry, ask, peer, session_id, turn_server};

const POSTS: [&str; 3] = ["/allocate-turn", "/release-turn", "/report-turn-usage"];
const PUTS: [&str; 3] = ["/admin/peers/a/tier", "/admin/spend", "/admin/mode"];

/// A registry with a session, and the content of its tables before the test.
struct Settled {
    registry: TestRegistry,
    session_id: String,
    before: Vec<Value>,
}

impl Settled {
    async fn start() -> Self {
        let registry = TestRegistry::start_with_operator(&[]).await;
        registry.register(&turn_server("turn", 10)).await.ok();
        registry.register(&peer("a")).await.ok();
        let granted = registry.allocate(&ask("a")).await.ok();
        registry.advance_secs(60);
        Self {
            session_id: session_id(&granted).to_owned(),
            before: Self::state(&registry).await,
            registry,
        }
    }

    async fn state(registry: &TestRegistry) -> Vec<Value> {
        let mut database = registry.database().await;
        let sql = "SELECT json_array(session_id, expires_at, reported_bytes) FROM turn_sessions
            UNION ALL SELECT json_array(peer_id, tier) FROM peer_tiers
            UNION ALL SELECT json_array(bill_spend_usd, forced_mode) FROM cost_state";
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&mut database)
            .await
            .unwrap();
        let rows = rows.into_iter().map(Value::from);
        rows.chain(registry.stored_rows().await).collect()
    }

    async fn is_as_it_was(&self) {
        assert_eq!(Self::state(&self.registry).await, self.before);
    }

    /// A valid body for a path.
    fn body_for(&self, path: &str) -> Value {
        let id = &self.session_id;
        match path {
            "/allocate-turn" => json!({
                "peerId": "a", "estimatedBandwidthMbps": 1, "userTier": "free",
                "isPremium": false, "p2pAttempted": true, "sessionId": id, "storeId": "s",
                "rangeStart": 0, "rangeEnd": 1,
            }),
            "/release-turn" => json!({ "peerId": "a", "sessionId": id, "bytesTransferred": 0 }),
            "/report-turn-usage" => json!({
                "peerId": "turn", "sessions": [{ "sessionId": id, "bytesTransferred": 0 }],
            }),
            "/admin/spend" => json!({ "currentSpendUsd": 1, "asOf": "2026-01-01T00:00:30Z" }),
            "/admin/mode" => json!({ "mode": "warning", "until": "2026-01-02T00:00:00Z" }),
            _ => json!({ "tier": "basic" }),
        }
    }

    async fn send(&self, path: &str, body: String) -> Answer {
        let method = if PUTS.contains(&path) {
            reqwest::Method::PUT
        } else {
            reqwest::Method::POST
        };
        let request = self
            .registry
            .request(method, path)
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"))
            .header("content-type", "application/json");
        Answer::of(request.body(body).send().await.unwrap()).await
    }

    async fn refuses(&self, path: &str, body: String, code: &str, field: &str) {
        let shown = body.chars().take(200).collect::<String>();
        let error = self.send(path, body).await.refused(400, code);
        assert_eq!(error["field"], field, "{path} {shown}");
        let sentence = error["error"].as_str().unwrap();
        assert!(sentence.starts_with(field), "{sentence}");
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
    }

    async fn refuses_value(&self, path: &str, field: &str, value: Value) {
        let mut body = self.body_for(path);
        body[field] = value;
        self.refuses(path, body.to_string(), "invalid_field", field)
            .await;
    }
}

#[actix_web::test]
async fn the_valid_bodies_are_accepted() {
    let settled = Settled::start().await;
    for path in PUTS.into_iter().chain(POSTS) {
        let body = settled.body_for(path).to_string();
        let answer = settled.send(path, body).await;
        if path == "/release-turn" {
            answer.ok();
        } else {
            assert_ne!(answer.status, 400, "{}", answer.body);
        }
    }
}

#[actix_web::test]
async fn bodies_that_are_not_json_objects_are_invalid_json() {
    let settled = Settled::start().await;
    for path in POSTS.into_iter().chain(PUTS) {
        let good = settled.body_for(path).to_string();
        for body in ["", "null", "[]", "{", "NaN", "\"a\""]
            .map(str::to_owned)
            .into_iter()
            .chain([
                good.replacen('{', "{\"x\":NaN,", 1),
                good.replacen('{', "{\"x\":1e999,", 1),
                good.replacen('{', "{\"x\":1,\"x\":1,", 1),
            ])
        {
            let error = settled.send(path, body).await;
            error.refused(400, "invalid_json");
        }
        let kind = settled.registry.post_raw(path, "text/plain", good).await;
        assert!([405, 415].contains(&kind.status.as_u16()));
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn required_fields_that_are_absent_or_null_are_missing_fields() {
    let settled = Settled::start().await;
    for (path, field) in [
        ("/allocate-turn", "peerId"),
        ("/release-turn", "peerId"),
        ("/release-turn", "sessionId"),
        ("/report-turn-usage", "peerId"),
        ("/report-turn-usage", "sessions"),
        ("/admin/peers/a/tier", "tier"),
        ("/admin/spend", "currentSpendUsd"),
        ("/admin/spend", "asOf"),
        ("/admin/mode", "until"),
    ] {
        let mut body = settled.body_for(path);
        if field != "peerId" {
            body[field] = json!("");
            settled
                .refuses(path, body.to_string(), "missing_field", field)
                .await;
        }
        body[field] = Value::Null;
        settled
            .refuses(path, body.to_string(), "missing_field", field)
            .await;
        body.as_object_mut().unwrap().remove(field);
        settled
            .refuses(path, body.to_string(), "missing_field", field)
            .await;
    }
    // A null mode lets the budget decide; an absent or empty one is an error.
    for body in ["{}", r#"{"mode":""}"#] {
        settled
            .refuses("/admin/mode", body.to_owned(), "missing_field", "mode")
            .await;
    }
    settled.is_as_it_was().await;
}

/// Values that are wrong for some fields of a path.
type Wrong = (&'static str, &'static str, Vec<Value>);

/// Text, boolean and time fields, each with wrong values.
fn wrong_texts() -> Vec<Wrong> {
    let long = "x".repeat(10_000);
    let texts = vec![
        json!(1),
        json!(true),
        json!([]),
        json!({}),
        json!(long),
        json!("a\nb"),
    ];
    let flags = vec![json!(2), json!(-1), json!("maybe"), json!(1.0), json!([])];
    let words = vec![
        json!("gold"),
        json!("Free"),
        json!(" free"),
        json!(1),
        json!([]),
    ];
    let moments = vec![
        json!("yesterday"),
        json!("2026-01-01"),
        json!("2026-01-01T00:00:00"),
        json!("2026-13-01T00:00:00Z"),
        json!(1_767_225_600),
        json!(long),
    ];
    let empty = vec![json!("")];
    vec![
        ("/allocate-turn", "peerId", empty.clone()),
        ("/release-turn", "peerId", empty.clone()),
        ("/report-turn-usage", "peerId", empty),
        ("/allocate-turn", "peerId sessionId storeId", texts.clone()),
        ("/release-turn", "peerId sessionId", texts.clone()),
        ("/report-turn-usage", "peerId", texts),
        ("/allocate-turn", "isPremium p2pAttempted", flags),
        ("/allocate-turn", "userTier", words.clone()),
        ("/admin/peers/a/tier", "tier", words.clone()),
        ("/admin/mode", "mode", words),
        ("/admin/mode", "until", moments.clone()),
        ("/admin/spend", "asOf", moments),
    ]
}

/// Number and list fields, each with values of a wrong type or out of range.
fn wrong_numbers() -> Vec<Wrong> {
    let numbers = vec![
        json!("1"),
        json!(true),
        json!([]),
        json!(-1),
        json!(1e300),
        json!(-1e300),
    ];
    let whole = vec![json!(1.5), json!(u64::MAX), json!(1_i64 << 53)];
    let mbps = vec![json!(100_001), json!(-0.1)];
    let lists = vec![json!("x"), json!(1), json!({}), json!(vec![0; 1025])];
    let bandwidth_and_range = "estimatedBandwidthMbps rangeStart rangeEnd";
    vec![
        ("/allocate-turn", bandwidth_and_range, numbers.clone()),
        ("/allocate-turn", "estimatedBandwidthMbps", mbps),
        ("/allocate-turn", "rangeStart rangeEnd", whole.clone()),
        ("/release-turn", "bytesTransferred", numbers.clone()),
        ("/release-turn", "bytesTransferred", whole),
        ("/admin/spend", "currentSpendUsd", numbers),
        (
            "/admin/spend",
            "currentSpendUsd",
            vec![json!(1_000_000_001)],
        ),
        ("/report-turn-usage", "sessions", lists),
    ]
}

#[actix_web::test]
async fn fields_of_the_wrong_type_or_out_of_range_are_invalid_fields() {
    let settled = Settled::start().await;
    for (path, fields, values) in wrong_texts().into_iter().chain(wrong_numbers()) {
        for field in fields.split(' ') {
            for value in &values {
                settled.refuses_value(path, field, value.clone()).await;
            }
        }
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn one_invalid_session_makes_the_whole_report_invalid() {
    let settled = Settled::start().await;
    let good = json!({ "sessionId": settled.session_id, "bytesTransferred": 5 });
    for bad in [
        json!(null),
        json!(1),
        json!([]),
        json!({}),
        json!({ "sessionId": "x" }),
        json!({ "bytesTransferred": 1 }),
        json!({ "sessionId": 1, "bytesTransferred": 1 }),
        json!({ "sessionId": "x", "bytesTransferred": -1 }),
        json!({ "sessionId": "x", "bytesTransferred": 1.5 }),
        json!({ "sessionId": "x", "bytesTransferred": "1" }),
        json!({ "sessionId": "x", "bytesTransferred": 1_i64 << 53 }),
        json!({ "sessionId": "x", "bytesTransferred": null }),
    ] {
        let body = json!({ "peerId": "turn", "sessions": [good, bad] });
        let path = "/report-turn-usage";
        settled
            .refuses(path, body.to_string(), "invalid_field", "sessions[1]")
            .await;
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn peer_ids_in_the_path_are_checked_like_those_in_bodies() {
    let settled = Settled::start().await;
    for name in ["a%20b", "%FF", "%00", "a%2Fb", "%C3%A9", &"x".repeat(129)] {
        let path = format!("/admin/peers/{name}/tier");
        let answer = settled
            .registry
            .put_as_operator(&path, &json!({ "tier": "basic" }))
            .await;
        let error = answer.refused(400, "invalid_field");
        assert_eq!(error["field"], "peerId", "{name}");
    }
    settled.is_as_it_was().await;
}

#[actix_web::test]
async fn byte_counts_at_the_limit_overflow_nothing() {
    let settled = Settled::start().await;
    let most = (1_i64 << 53) - 1;
    let session = json!({ "sessionId": settled.session_id, "bytesTransferred": most });
    let report = json!({ "peerId": "turn", "sessions": vec![session; 1024] });
    let answer = settled.registry.report(&report).await.ok();
    assert_eq!(answer["accepted"], 1024);
    let body = json!({ "peerId": "a", "sessionId": settled.session_id, "bytesTransferred": most });
    let released = settled.registry.release(&body).await.ok();
    assert!(
        released["bytesTransferred"].as_u64().unwrap() < 100_000_000,
        "{released}"
    );
    let stats = settled.registry.cost_stats().await.ok();
    assert!(stats["costMetrics"]["currentSpend"].as_f64().unwrap() < 1.0);
}

#[actix_web::test]
async fn implausibly_large_reports_count_up_to_twice_what_was_granted() {
    let tiers = "--tier-limits=free=5/2000,basic=10/2000,standard=50/2000,premium=100/2000";
    let flags = [
        tiers,
        "--max-allocations-per-minute=600",
        "--max-ended-sessions-per-peer=600",
    ];
    let registry = TestRegistry::start_with(&flags).await;
    registry.register(&turn_server("turn", 2000)).await.ok();
    registry.register(&peer("a")).await.ok();
    let mut sessions = Vec::new();
    for _ in 0..12 {
        let ask = ask("a");
        let answers = (0..50).map(|_| registry.allocate(&ask));
        for answer in futures_util::future::join_all(answers).await {
            let id = answer.ok()["sessionId"].take();
            sessions.push(json!({ "sessionId": id, "bytesTransferred": (1_i64 << 53) - 1 }));
        }
    }
    registry.advance_secs(600);
    let report = json!({ "peerId": "turn", "sessions": sessions });
    registry.register(&turn_server("turn", 2000)).await.ok();
    assert_eq!(registry.report(&report).await.ok()["accepted"], 600);
    let stats = registry.cost_stats().await.ok();
    // 600 sessions of 5 Mbit/s for ten minutes are 225 GB; the reports count as 450 GB.
    let transfer_usd = stats["costMetrics"]["dataTransferCosts"].as_f64().unwrap();
    assert!((40.5..40.6).contains(&transfer_usd), "{transfer_usd}");
    assert_eq!(registry.health().await.status, 200);
}
