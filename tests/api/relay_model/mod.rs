//! Random sequences of relay operations, held against a plain model of what was granted.

mod model;

use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::Row;

use model::{Model, Peer, Session};

use crate::helpers::{START_MS, TestRegistry, ask, peer, session_id, turn_server};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const TIMEOUT_MS: i64 = 2 * HOUR_MS;
/// As a day, counted from 1970-01-01.
const START_OF_FEBRUARY: i64 = START_MS / DAY_MS + 31;
/// Three hours before the end of January.
const EVENING_MS: i64 = START_MS + 31 * DAY_MS - 3 * HOUR_MS;
const TIERS: [(&str, i64, usize); 4] = [
    ("free", 5, 1),
    ("basic", 10, 2),
    ("standard", 50, 5),
    ("premium", 100, 10),
];

#[derive(Clone, Debug)]
enum Step {
    /// Registers a peer; as a TURN server of a capacity, as none, or without a word about it.
    Register {
        peer: u8,
        turn: Option<Option<u32>>,
    },
    SetTier {
        peer: u8,
        tier: usize,
    },
    Allocate {
        peer: u8,
        mbps: i64,
    },
    /// Of any session there has been, by whom it may.
    Renew {
        peer: u8,
        session: usize,
        mbps: i64,
    },
    Release {
        peer: u8,
        session: usize,
        bytes: Option<i64>,
    },
    Report {
        peer: u8,
        session: usize,
        bytes: i64,
    },
    Advance {
        ms: i64,
    },
    Restart {
        down_ms: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0u8..5;
    let session = || 0usize..8;
    let mbps = || 1i64..120;
    let bytes = || 0i64..20_000_000_000;
    let turn = prop::option::weighted(0.6, prop::option::weighted(0.7, 1u32..4));
    prop_oneof![
        5 => (peer(), turn).prop_map(|(peer, turn)| Step::Register { peer, turn }),
        1 => (peer(), 0usize..4).prop_map(|(peer, tier)| Step::SetTier { peer, tier }),
        7 => (peer(), mbps()).prop_map(|(peer, mbps)| Step::Allocate { peer, mbps }),
        3 => (peer(), session(), mbps())
            .prop_map(|(peer, session, mbps)| Step::Renew { peer, session, mbps }),
        3 => (peer(), session(), prop::option::of(bytes()))
            .prop_map(|(peer, session, bytes)| Step::Release { peer, session, bytes }),
        3 => (peer(), session(), bytes())
            .prop_map(|(peer, session, bytes)| Step::Report { peer, session, bytes }),
        4 => (0..40 * MINUTE_MS).prop_map(|ms| Step::Advance { ms }),
        1 => Just(Step::Advance { ms: HOUR_MS }),
        1 => (0..3 * HOUR_MS).prop_map(|down_ms| Step::Restart { down_ms }),
    ]
}

fn name(peer: u8) -> String {
    format!("peer-{peer}")
}

/// A peer and one of the sessions there have been, or none of them.
fn picked(model: &Model, session: usize) -> (usize, String) {
    let count = model.sessions.len();
    match count.checked_sub(1 + session % 8) {
        Some(at) => (at, model.sessions[at].id.clone()),
        None => (usize::MAX, "unknown".to_owned()),
    }
}

/// Takes a step with both; tells whether it wrote anything about relaying.
async fn take(registry: &mut TestRegistry, model: &mut Model, step: &Step) -> bool {
    match step {
        Step::Advance { ms } => {
            registry.advance_ms(*ms as u64);
            model.advance(*ms, true);
            false
        }
        Step::Restart { down_ms } => {
            registry.stop().await;
            registry.advance_ms(*down_ms as u64);
            registry.resume().await;
            model.advance(*down_ms, false);
            // A start removes who has expired before it reads the table.
            model.accept(None);
            false
        }
        Step::SetTier { peer, tier } => {
            registry.set_tier(&name(*peer), TIERS[*tier].0).await.ok();
            model.tiers.insert(name(*peer), *tier);
            model.accept(None);
            true
        }
        Step::Register { peer: number, turn } => {
            let id = name(*number);
            let mut body = turn_server(&id, turn.flatten().unwrap_or(1));
            match turn {
                None => body = peer(&id),
                Some(offer) => body["turnCapable"] = json!(offer.is_some()),
            }
            registry.register(&body).await.ok();
            let earlier = model.peers.get(&id).and_then(|peer| peer.capacity);
            let peer = Peer {
                renewed_up_ms: model.up_ms,
                capacity: turn.unwrap_or(earlier),
            };
            let has_left = earlier.is_some() && peer.capacity.is_none();
            model.peers.insert(id.clone(), peer);
            model.accept(Some(&id));
            if has_left {
                model.end_server(&id);
            }
            false
        }
        Step::Allocate { peer, mbps } => {
            let mut body = ask(&name(*peer));
            body["estimatedBandwidthMbps"] = json!(mbps);
            allocate(registry, model, &name(*peer), body, *mbps, None).await
        }
        Step::Renew {
            peer,
            session,
            mbps,
        } => {
            let (at, session_id) = picked(model, *session);
            let mut body = ask(&name(*peer));
            body["sessionId"] = json!(session_id);
            body["estimatedBandwidthMbps"] = json!(mbps);
            allocate(registry, model, &name(*peer), body, *mbps, Some(at)).await
        }
        Step::Release {
            peer,
            session,
            bytes,
        } => {
            let (at, session_id) = picked(model, *session);
            let id = name(*peer);
            let body = json!({ "peerId": id, "sessionId": session_id, "bytesTransferred": bytes });
            let answer = registry.release(&body).await;
            let session = model.sessions.get(at);
            if !session.is_some_and(|session| session.peer == id && model.is_live(session)) {
                answer.refused(404, "session_not_found");
                return false;
            }
            let now_ms = model.now_ms;
            let session = &mut model.sessions[at];
            let counted = bytes.map(|bytes| session.credible(bytes, now_ms));
            session.reported = session.reported.or(counted);
            model.end(at);
            model.accept(Some(&id));
            assert_eq!(answer.ok()["bytesTransferred"], model.sessions[at].booked);
            true
        }
        Step::Report {
            peer,
            session,
            bytes,
        } => {
            let (at, session_id) = picked(model, *session);
            let id = name(*peer);
            let usage = json!([{ "sessionId": session_id, "bytesTransferred": bytes }]);
            let report = registry
                .report(&json!({ "peerId": id, "sessions": usage }))
                .await
                .ok();
            let session = model
                .sessions
                .get_mut(at)
                .filter(|session| session.server == id && session.end_ms >= model.now_ms - HOUR_MS);
            assert_eq!(report["accepted"], usize::from(session.is_some()));
            let Some(session) = session else {
                return false;
            };
            session.reported = Some(session.credible(*bytes, model.now_ms));
            if session.end_ms <= model.now_ms {
                model.correct(at);
            }
            model.accept(Some(&id));
            true
        }
    }
}

async fn allocate(
    registry: &TestRegistry,
    model: &mut Model,
    id: &str,
    body: Value,
    asked_mbps: i64,
    renewed: Option<usize>,
) -> bool {
    let answer = registry.allocate(&body).await;
    if !model.is_active(id) {
        answer.refused(404, "peer_not_found");
        return false;
    }
    let is_renewable = |session: &Session| {
        session.peer == id && model.is_live(session) && model.relays(&session.server)
    };
    if renewed.is_some_and(|at| !model.sessions.get(at).is_some_and(is_renewable)) {
        answer.refused(404, "session_not_found");
        return false;
    }
    let tier = model.tiers.get(id).copied().unwrap_or(0);
    let (_, most_mbps, most_sessions) = TIERS[tier];
    let renewed_id = renewed.map(|at| model.sessions[at].id.clone());
    let own = model.live().filter(|session| {
        session.peer == id
            && model.relays(&session.server)
            && Some(&session.id) != renewed_id.as_ref()
    });
    if own.count() >= most_sessions {
        let refusal = answer.not_allocated(429, "session_limit", 60);
        assert_eq!(refusal["limit"]["allowed"], most_sessions);
        return false;
    }
    let mbps = asked_mbps.min(most_mbps);
    let end_ms = model.now_ms + HOUR_MS;
    let granted = if let Some(at) = renewed {
        let session = &mut model.sessions[at];
        session.accrued = session.estimate(model.now_ms);
        session.rate_from_ms = model.now_ms;
        (session.tier, session.mbps, session.end_ms) = (tier, mbps, end_ms);
        answer.ok()
    } else {
        let Some((server, _)) = model.servers().into_iter().find(|(server, _)| server != id) else {
            answer.not_allocated(503, "no_turn_server", 30);
            return false;
        };
        let granted = answer.ok();
        assert_eq!(granted["turnServer"]["peerId"], server);
        model.sessions.push(Session {
            id: session_id(&granted).to_owned(),
            peer: id.to_owned(),
            server,
            tier,
            mbps,
            granted_ms: model.now_ms,
            end_ms,
            rate_from_ms: model.now_ms,
            accrued: 0,
            reported: None,
            booked: 0,
            booked_until_ms: model.now_ms,
        });
        granted
    };
    assert_eq!(granted["limits"]["maxBandwidthMbps"], mbps);
    assert_eq!(granted["expiresAt"], end_ms);
    model.accept(Some(id));
    true
}

/// What the registry says and the model says are the same.
async fn check(registry: &TestRegistry, model: &Model) {
    let stats = registry.cost_stats().await.ok();
    assert_eq!(stats["sessionStats"]["total"], model.live().count());
    for (at, (tier, ..)) in TIERS.iter().enumerate() {
        let count = model.live().filter(|session| session.tier == at).count();
        assert_eq!(stats["sessionStats"]["byTier"][tier], count, "{tier}");
    }
    // A dollar a gigabyte, and what HTTP has sent is less than a cent.
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

/// The tables and the model say the same, right after something was written.
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
    fn what_was_granted_is_as_the_model_has_it(steps in prop::collection::vec(step(), 1..50)) {
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
