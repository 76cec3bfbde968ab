//! Random sequences of relay operations, held against a plain model of what was granted.

mod model;
mod steps;

use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::Row;

use model::{Model, Session};
use steps::{step, take};

use crate::helpers::{START_MS, TestRegistry};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TIMEOUT_MS: i64 = 2 * HOUR_MS;
/// 1 February 2026, in days since 1970-01-01.
const START_OF_FEBRUARY: i64 = START_MS / DAY_MS + 31;
/// Three hours before the end of January.
const EVENING_MS: i64 = START_MS + 31 * DAY_MS - 3 * HOUR_MS;
const TIERS: [(&str, i64, usize); 4] = [
    ("free", 5, 1),
    ("basic", 10, 2),
    ("standard", 50, 5),
    ("premium", 100, 10),
];

/// Checks that the registry's responses equal the model.
async fn check(registry: &TestRegistry, model: &Model) {
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["sessionStats"]["total"], model.live().count());
    for (at, (tier, ..)) in TIERS.iter().enumerate() {
        let count = model.live().filter(|session| session.tier == at).count();
        assert_eq!(stats["sessionStats"]["byTier"][tier], count, "{tier}");
    }
    // The price is one dollar per gigabyte, so the HTTP traffic costs less than a cent.
    let usd = stats["costMetrics"]["dataTransferCosts"].as_f64().unwrap();
    let expected = model.month_bytes().max(0) as f64 / 1e9;
    assert!((usd - expected).abs() < 0.03, "{usd} {expected}");
    let listing = registry.turn_servers().await.ok();
    let servers = listing["servers"].as_array().unwrap().iter();
    let servers: Vec<_> = servers
        .map(|server| {
            let id = server["peerId"].as_str().unwrap().to_owned();
            (id, server["currentLoad"].as_u64().unwrap() as u32)
        })
        .collect();
    assert_eq!(servers, model.servers());
    assert_eq!(registry.health().await.status, 200);
}

/// Checks that the tables equal the model. Call it after a write, which brings the tables up to date.
async fn check_tables(registry: &TestRegistry, model: &Model) {
    let mut database = registry.database().await;
    let rows = sqlx::query(
        "SELECT session_id, peer_id, server_id, tier, mbps, expires_at, reported_bytes,
            booked_bytes, booked_until FROM turn_sessions ORDER BY session_id",
    );
    let rows: Vec<Value> = rows
        .fetch_all(&mut database)
        .await
        .unwrap()
        .iter()
        .map(|row| {
            let text = |at: usize| row.get::<String, _>(at);
            let number = |at: usize| row.get::<Option<i64>, _>(at);
            json!([
                text(0),
                text(1),
                text(2),
                text(3),
                number(4),
                number(5),
                number(6),
                number(7),
                number(8)
            ])
        })
        .collect();
    let kept = model.sessions.iter();
    let kept = kept.filter(|session| session.end_ms >= model.now_ms - HOUR_MS);
    let mut expected: Vec<_> = kept.collect();
    expected.sort_by(|left, right| left.id.cmp(&right.id));
    let row = |session: &Session| {
        json!([
            session.id,
            session.peer,
            session.server,
            TIERS[session.tier].0,
            session.mbps,
            session.end_ms,
            session.reported,
            session.booked,
            session.booked_until_ms
        ])
    };
    assert_eq!(rows, expected.into_iter().map(row).collect::<Vec<_>>());
    let days: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT unixepoch(day) / 86400, relayed_bytes FROM traffic_days
         WHERE relayed_bytes <> 0 ORDER BY day",
    )
    .fetch_all(&mut database)
    .await
    .unwrap();
    let expected = model.days.iter().filter(|(_, bytes)| **bytes != 0);
    assert_eq!(
        days,
        expected
            .map(|(day, bytes)| (*day, *bytes))
            .collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_relay_budget_behaves_as_its_model(steps in prop::collection::vec(step(), 1..50)) {
        actix_web::rt::System::new().block_on(async {
            let mut registry = TestRegistry::start_with_operator(&[
                "--peer-timeout-secs=7200",
                "--heartbeat-interval-secs=3600",
                "--egress-usd-per-gb=1",
                "--monthly-budget-usd=1000000000",
                "--fixed-monthly-cost-usd=0",
            ])
            .await;
            registry.clock.set(EVENING_MS);
            let mut model = Model { now_ms: EVENING_MS, ..Model::default() };
            for step in &steps {
                let is_written = take(&mut registry, &mut model, step).await;
                if is_written {
                    check_tables(&registry, &model).await;
                }
                check(&registry, &model).await;
            }
            registry.stop().await;
            check_tables(&registry, &model).await;
        });
    }
}
