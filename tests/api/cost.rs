//! The cost of the month: how it is computed, stored, reported and corrected.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::helpers::{TestRegistry, ask, peer, session_id, turn_server};

const PATIENT: &str = "--peer-timeout-secs=10000000";
/// A budget so large that it refuses nothing.
const RICH: &str = "--monthly-budget-usd=1000000000";
/// 1,000 dollars per gigabyte: HTTP traffic costs cents, a session costs dollars.
const DEAR: &str = "--egress-usd-per-gb=1000";
const FREE_EGRESS: &str = "--egress-usd-per-gb=0";
const NOTHING_FIXED: &str = "--fixed-monthly-cost-usd=0";
const DAY_SECS: u64 = 86_400;

async fn start(flags: &[&str]) -> TestRegistry {
    let registry = TestRegistry::start_with_operator(&[&[PATIENT], flags].concat()).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry
}

async fn metrics(registry: &TestRegistry) -> Value {
    registry.cost_stats().await.ok()["costMetrics"].clone()
}

/// Checks the cost of the month's relayed bytes in dollars; the tolerance covers the HTTP traffic.
#[track_caller]
fn assert_relayed(metrics: &Value, expected_usd: f64) {
    let usd = metrics["dataTransferCosts"].as_f64().unwrap();
    assert!((usd - expected_usd).abs() < 0.2, "{usd} {expected_usd}");
}

async fn mode(registry: &TestRegistry) -> Value {
    registry.cost_stats().await.ok()["mode"]["name"].clone()
}

/// The relayed bytes of each day in the table.
async fn relayed_days(registry: &TestRegistry) -> Vec<(String, i64)> {
    let mut database = registry.database().await;
    sqlx::query_as(
        "SELECT day, relayed_bytes FROM traffic_days WHERE relayed_bytes <> 0 ORDER BY day",
    )
    .fetch_all(&mut database)
    .await
    .unwrap()
}

#[actix_web::test]
async fn cost_stats_has_every_field_of_the_contract() {
    let registry = start(&[FREE_EGRESS]).await;
    registry.set_tier("a", "premium").await.ok();
    registry.advance_secs(15 * DAY_SECS + DAY_SECS / 2);
    registry.allocate(&ask("a")).await.ok();
    registry.register(&peer("b")).await.ok();
    registry.allocate(&ask("b")).await.ok();
    let answer = registry.cost_stats().await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let expected = json!({
        "costMetrics": {
            "currentSpend": 30.0, "projectedMonthlySpend": 60.0, "budgetLimit": 800.0,
            "costRatio": 0.075, "lastUpdated": "2026-01-16T12:00:00.000Z",
            "dataTransferCosts": 0.0, "computeCosts": 30.0,
        },
        "sessionStats": {
            "total": 2, "premium": 1,
            "byTier": {"free": 1, "basic": 0, "standard": 0, "premium": 1},
        },
        "mode": {
            "name": "normal", "budgetMode": "normal", "emergency": false, "shutdown": false,
            "currentThreshold": "normal", "thresholdRatio": 0.0,
            "forcedUntil": null, "since": "2026-01-01T00:00:00.000Z",
        },
        "source": "metered",
        "since": "2026-01-01T00:00:00.000Z",
        "isStale": false,
        "allocations": {"granted": 2, "refused": {}},
        "timestamp": "2026-01-16T12:00:00.000Z",
    });
    assert_eq!(answer.ok(), expected);
    let health = registry.health().await.ok();
    let expected = json!({
        "budgetUsed": "3.8%", "budgetUsedRatio": 0.0375,
        "projectedMonthlyCost": "$60.00", "projectedMonthlyCostUsd": 60.0,
        "budgetLimit": "$800.00", "budgetLimitUsd": 800.0, "mode": "normal", "activeSessions": 2,
    });
    assert_eq!(health["costInfo"], expected);
}

/// Sends `GET /cost-stats`. Returns the length of the whole response in bytes, and the cost that it
/// names: the number of bytes sent before it, at one dollar per byte.
async fn raw_cost_stats(registry: &TestRegistry) -> (usize, f64) {
    registry.advance_ms(1);
    let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
    let request = b"GET /cost-stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let usd = body["costMetrics"]["dataTransferCosts"].as_f64().unwrap();
    (answer.len(), usd)
}

#[actix_web::test]
async fn every_byte_of_http_is_paid_for_once() {
    let a_dollar_a_byte = "--egress-usd-per-gb=1000000000";
    let mut registry = start(&[a_dollar_a_byte, RICH, NOTHING_FIXED]).await;
    let (mut length, mut before) = raw_cost_stats(&registry).await;
    for step in 0..6 {
        match step {
            // An edit from outside, so the registry reads the tables again.
            1 => {
                let edit = "UPDATE peers SET version = '2' WHERE peer_id = 'a'";
                registry.execute(edit).await;
            }
            3 => {
                registry.stop().await;
                registry.resume().await;
            }
            _ => {}
        }
        let now = raw_cost_stats(&registry).await;
        assert_eq!(now.1 - before, length as f64, "step {step}");
        (length, before) = now;
        if step % 2 == 1 && step != 3 {
            // A write, which stores some of the bytes. Its response adds to them.
            let tier = registry.set_tier("a", "basic").await;
            tier.ok();
            (length, before) = raw_cost_stats(&registry).await;
        }
    }
}

#[actix_web::test]
async fn an_unreported_session_costs_its_granted_bandwidth_until_it_ends() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    registry.allocate(&ask("a")).await.ok();
    // 5 Mbit/s are 2.25 GB per hour.
    for (secs, usd) in [(0, 0.0), (1800, 1125.0), (1800, 2250.0), (7200, 2250.0)] {
        registry.advance_secs(secs);
        assert_relayed(&metrics(&registry).await, usd);
    }
}

#[actix_web::test]
async fn a_renewal_with_another_bandwidth_changes_the_cost_from_then_on_only() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    registry.set_tier("a", "premium").await.ok();
    let mut body = ask("a");
    body["estimatedBandwidthMbps"] = json!(100);
    let granted = registry.allocate(&body).await.ok();
    registry.advance_secs(1000);
    body["sessionId"] = granted["sessionId"].clone();
    body["estimatedBandwidthMbps"] = json!(8);
    registry.allocate(&body).await.ok();
    registry.advance_secs(1000);
    assert_relayed(&metrics(&registry).await, 12_500.0 + 1_000.0);
}

#[actix_web::test]
async fn a_report_replaces_the_estimate() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(1800);
    // 1.125 GB were granted so far; a report counts up to twice that.
    for (gb, counted_usd) in [(2, 2000.0), (3, 2250.0), (1, 1000.0)] {
        let session =
            json!({"sessionId": session_id(&granted), "bytesTransferred": gb * 1_000_000_000_i64});
        let report = json!({ "peerId": "turn", "sessions": [session] });
        registry.report(&report).await.ok();
        assert_relayed(&metrics(&registry).await, counted_usd);
    }
    registry.advance_secs(7200);
    assert_relayed(&metrics(&registry).await, 1000.0);
}

/// Allocates at 23:50 on January 31; the session lasts until 00:50.
async fn over_the_month_s_end(registry: &TestRegistry) -> Value {
    registry.advance_secs(30 * DAY_SECS + 86_400 - 600);
    registry.allocate(&ask("a")).await.ok()
}

const BYTES_PER_SEC: i64 = 5 * 125_000;

async fn has_its_own_bytes_in_each_month(registry: &TestRegistry) {
    // 0.375 GB before midnight, another 0.375 GB in the ten minutes after it, and 1.875 GB in February
    // by the end.
    assert_relayed(&metrics(registry).await, 375.0);
    registry.advance_secs(3000);
    assert_relayed(&metrics(registry).await, 1875.0);
    registry.allocate(&ask("a")).await.ok();
    let expected = [
        ("2026-01-31".to_owned(), 600 * BYTES_PER_SEC),
        ("2026-02-01".to_owned(), 3000 * BYTES_PER_SEC),
    ];
    assert_eq!(relayed_days(registry).await, expected);
}

#[actix_web::test]
async fn a_session_over_the_end_of_a_month_counts_in_each_month_with_its_share() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    over_the_month_s_end(&registry).await;
    registry.advance_ms(599_999);
    assert_relayed(&metrics(&registry).await, 375.0);
    registry.advance_ms(1);
    // The new month has cost nothing yet.
    let stats = registry.cost_stats().await.ok();
    assert_relayed(&stats["costMetrics"], 0.0);
    assert_eq!(stats["since"], "2026-02-01T00:00:00.000Z");
    assert_eq!(stats["sessionStats"]["total"], 1);
    registry.advance_secs(600);
    has_its_own_bytes_in_each_month(&registry).await;
}

#[actix_web::test]
async fn each_month_has_its_own_bytes_even_without_a_request_or_a_process_at_midnight() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    over_the_month_s_end(&registry).await;
    registry.advance_secs(1200);
    has_its_own_bytes_in_each_month(&registry).await;

    let mut registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    over_the_month_s_end(&registry).await;
    registry.stop().await;
    registry.advance_secs(1200);
    registry.resume().await;
    has_its_own_bytes_in_each_month(&registry).await;
}

#[actix_web::test]
async fn a_session_over_midnight_counts_on_each_day_with_its_share() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    registry.advance_secs(DAY_SECS - 600);
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(1200);
    let body = json!({ "peerId": "a", "sessionId": session_id(&granted) });
    let released = registry.release(&body).await.ok();
    assert_eq!(released["bytesTransferred"], 1200 * BYTES_PER_SEC);
    let expected = [
        ("2026-01-01".to_owned(), 600 * BYTES_PER_SEC),
        ("2026-01-02".to_owned(), 600 * BYTES_PER_SEC),
    ];
    assert_eq!(relayed_days(&registry).await, expected);
    assert_relayed(&metrics(&registry).await, 750.0);
}

#[actix_web::test]
async fn a_new_month_loosens_the_mode_and_keeps_the_sessions() {
    let registry = start(&[FREE_EGRESS]).await;
    registry.advance_secs(31 * DAY_SECS - 60);
    registry.allocate(&ask("a")).await.ok();
    registry.set_spend(760.0, "2026-01-31T23:00:00Z").await.ok();
    assert_eq!(mode(&registry).await, "emergency");
    registry.advance_secs(60);
    let stats = registry.cost_stats().await.ok();
    assert_eq!(
        (&stats["mode"]["name"], &stats["source"]),
        (&json!("normal"), &json!("metered"))
    );
    assert_eq!(stats["mode"]["since"], "2026-02-01T00:00:00.000Z");
    assert_eq!(stats["sessionStats"]["total"], 1);
}

#[actix_web::test]
async fn a_bill_replaces_what_was_metered_before_its_time() {
    let registry = start(&[DEAR, RICH]).await;
    registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(DAY_SECS);
    assert_relayed(&metrics(&registry).await, 2250.0);
    registry.set_spend(500.0, "2026-01-02T00:00:00Z").await.ok();
    registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(DAY_SECS);
    let stats = registry.cost_stats().await.ok();
    assert_eq!(
        (&stats["source"], &stats["isStale"]),
        (&json!("bill"), &json!(false))
    );
    assert_eq!(stats["since"], "2026-01-02T00:00:00.000Z");
    let cost = &stats["costMetrics"];
    // Since the bill: one session, and one day of the fixed cost of 60 dollars for 31 days.
    let spend = cost["currentSpend"].as_f64().unwrap();
    assert!(
        (spend - (500.0 + 2250.0 + 60.0 / 31.0)).abs() < 0.2,
        "{spend}"
    );
    let parts = ["dataTransferCosts", "computeCosts"].map(|part| cost[part].as_f64().unwrap());
    assert!((parts.iter().sum::<f64>() - spend).abs() < 0.02, "{cost}");
    registry.advance_ms(1);
    assert_eq!(registry.cost_stats().await.ok()["isStale"], true);
    // The last bill counts.
    registry.set_spend(0.0, "2026-01-03T00:00:00Z").await.ok();
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["isStale"], false);
    assert!(stats["costMetrics"]["currentSpend"].as_f64().unwrap() < 0.1);
}

#[actix_web::test]
async fn a_bill_for_an_earlier_time_keeps_what_was_metered_since() {
    let registry = start(&[DEAR, RICH, NOTHING_FIXED]).await;
    registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(DAY_SECS + 3600);
    registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(1800);
    registry
        .set_spend(10.0, "2026-01-02T00:00:00+00:00")
        .await
        .ok();
    assert_relayed(&metrics(&registry).await, 10.0 + 1125.0);
}

#[actix_web::test]
async fn a_bill_changes_the_mode_at_once() {
    let registry = start(&[FREE_EGRESS]).await;
    registry.advance_secs(31 * DAY_SECS / 2);
    // Half of the month has passed, so the forecast doubles the traffic above the fixed 30 dollars.
    for (usd, mode_then) in [
        (30.0, "normal"),
        (30.0 + 251.0, "warning"),
        (30.0 + 311.0, "throttle"),
        (30.0 + 351.0, "emergency"),
        (30.0 + 363.0, "shutdown"),
    ] {
        let answer = registry.set_spend(usd, "2026-01-16T12:00:00Z").await.ok();
        assert_eq!(answer["mode"], mode_then, "{usd}");
        assert_eq!(mode(&registry).await, mode_then, "{usd}");
    }
    assert_eq!(registry.health().await.ok()["status"], "degraded");
}

#[actix_web::test]
async fn bills_for_another_month_or_the_future_are_refused() {
    let registry = start(&[FREE_EGRESS]).await;
    registry.advance_secs(3600);
    for as_of in [
        "2025-12-31T23:59:59.999Z",
        "2026-01-01T01:00:00.001Z",
        "2026-02-01T00:00:00Z",
        "2027-01-01T00:30:00Z",
        "2026-01-01T00:30:00+01:00",
    ] {
        let error = registry.set_spend(1.0, as_of).await;
        let error = error.refused(400, "invalid_field");
        assert_eq!(error["field"], "asOf", "{as_of}");
    }
    assert_eq!(registry.cost_stats().await.ok()["source"], "metered");
    registry.set_spend(1.0, "2026-01-01T00:00:00Z").await.ok();
    registry
        .set_spend(1.0, "2026-01-01T02:00:00+01:00")
        .await
        .ok();
}

#[actix_web::test]
async fn a_restart_keeps_sessions_spend_tiers_bill_and_mode() {
    let mut registry = start(&[DEAR, "--monthly-budget-usd=100000"]).await;
    registry.set_tier("a", "premium").await.ok();
    registry.advance_secs(31 * DAY_SECS / 2);
    // Warning begins at 70 % and ends below 68 %: 60 + 2 × 34,500 dollars are 69.06 %.
    registry
        .set_spend(36_000.0, "2026-01-16T12:00:00Z")
        .await
        .ok();
    registry
        .set_spend(34_530.0, "2026-01-16T12:00:00Z")
        .await
        .ok();
    registry.allocate(&ask("a")).await.ok();
    let kept = |stats: Value| {
        let mode = ["name", "since"].map(|field| stats["mode"][field].clone());
        let state = ["source", "since", "sessionStats"].map(|field| stats[field].clone());
        (mode, state)
    };
    let before = registry.cost_stats().await.ok();
    assert_eq!(before["mode"]["name"], "warning");
    registry.stop().await;
    registry.resume().await;
    let after = registry.cost_stats().await.ok();
    assert_relayed(&after["costMetrics"], 34_500.0);
    assert_eq!(kept(before), kept(after));
    registry.advance_secs(900);
    registry.stop().await;
    registry.advance_secs(900);
    registry.resume().await;
    // 5 Mbit/s, the max of a single peer in mode warning, for the 15 minutes of a session.
    assert_relayed(&metrics(&registry).await, 34_500.0 + 562.5);
    assert_eq!(mode(&registry).await, "warning");
}
