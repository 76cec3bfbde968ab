//! What peers and an operator do, to the registry and to the model.

use proptest::prelude::*;
use serde_json::json;

use super::model::{Model, Peer, Session};
use super::{HOUR_MS, MINUTE_MS, TIERS};
use crate::answer::Answer;
use crate::helpers::{TestRegistry, ask, peer, session_id, turn_server};

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Registers a peer: as a TURN server with a capacity, explicitly as none, or without TURN fields.
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

pub(super) fn step() -> impl Strategy<Value = Step> {
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

/// Picks one of the past and present sessions, or an unknown id.
fn picked(model: &Model, session: usize) -> (usize, String) {
    let count = model.sessions.len();
    match count.checked_sub(1 + session % 8) {
        Some(at) => (at, model.sessions[at].id.clone()),
        None => (usize::MAX, "unknown".to_owned()),
    }
}

/// Takes a step with both; returns whether it wrote anything about relaying.
pub(super) async fn take(registry: &mut TestRegistry, model: &mut Model, step: &Step) -> bool {
    match *step {
        Step::Advance { ms } => {
            registry.advance_ms(ms as u64);
            model.advance(ms, true);
            false
        }
        Step::Restart { down_ms } => {
            registry.stop().await;
            registry.advance_ms(down_ms as u64);
            registry.resume().await;
            model.advance(down_ms, false);
            // A start removes expired peers before it reads the table.
            model.accept(None);
            false
        }
        Step::SetTier { peer, tier } => {
            registry.set_tier(&name(peer), TIERS[tier].0).await.ok();
            model.tiers.insert(name(peer), tier);
            model.accept(None);
            true
        }
        Step::Register { peer, turn } => {
            register(registry, model, name(peer), turn).await;
            false
        }
        Step::Allocate { peer, mbps } => allocate(registry, model, &name(peer), mbps, None).await,
        Step::Renew {
            peer,
            session,
            mbps,
        } => {
            let session = picked(model, session);
            allocate(registry, model, &name(peer), mbps, Some(session)).await
        }
        Step::Release {
            peer,
            session,
            bytes,
        } => {
            let session = picked(model, session);
            release(registry, model, &name(peer), session, bytes).await
        }
        Step::Report {
            peer,
            session,
            bytes,
        } => {
            let session = picked(model, session);
            report(registry, model, &name(peer), session, bytes).await
        }
    }
}

async fn register(
    registry: &TestRegistry,
    model: &mut Model,
    id: String,
    turn: Option<Option<u32>>,
) {
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
}

async fn release(
    registry: &TestRegistry,
    model: &mut Model,
    id: &str,
    (at, session_id): (usize, String),
    bytes: Option<i64>,
) -> bool {
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
    model.accept(Some(id));
    assert_eq!(answer.ok()["bytesTransferred"], model.sessions[at].booked);
    true
}

async fn report(
    registry: &TestRegistry,
    model: &mut Model,
    id: &str,
    (at, session_id): (usize, String),
    bytes: i64,
) -> bool {
    let usage = json!([{ "sessionId": session_id, "bytesTransferred": bytes }]);
    let body = json!({ "peerId": id, "sessions": usage });
    let report = registry.report(&body).await.ok();
    let session = model
        .sessions
        .get_mut(at)
        .filter(|session| session.server == id && session.end_ms >= model.now_ms - HOUR_MS);
    assert_eq!(report["accepted"], usize::from(session.is_some()));
    let Some(session) = session else {
        return false;
    };
    session.reported = Some(session.credible(bytes, model.now_ms));
    if session.end_ms <= model.now_ms {
        model.correct(at);
    }
    model.accept(Some(id));
    true
}

/// Requests a session or a renewal; returns whether it was granted.
async fn allocate(
    registry: &TestRegistry,
    model: &mut Model,
    id: &str,
    asked_mbps: i64,
    renewed: Option<(usize, String)>,
) -> bool {
    let mut body = ask(id);
    body["estimatedBandwidthMbps"] = json!(asked_mbps);
    if let Some((_, session_id)) = &renewed {
        body["sessionId"] = json!(session_id);
    }
    let renewed = renewed.map(|(at, _)| at);
    let answer = registry.allocate(&body).await;
    let tier = model.tiers.get(id).copied().unwrap_or(0);
    let Some(answer) = expect_refusal(answer, model, id, tier, renewed) else {
        return false;
    };
    let mbps = asked_mbps.min(TIERS[tier].1);
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

/// Checks the refusal if the request must be refused; otherwise returns the response.
fn expect_refusal(
    answer: Answer,
    model: &Model,
    id: &str,
    tier: usize,
    renewed: Option<usize>,
) -> Option<Answer> {
    if !model.is_active(id) {
        answer.refused(404, "peer_not_found");
        return None;
    }
    let is_renewable = |session: &Session| {
        session.peer == id && model.is_live(session) && model.relays(&session.server)
    };
    if renewed.is_some_and(|at| !model.sessions.get(at).is_some_and(is_renewable)) {
        answer.refused(404, "session_not_found");
        return None;
    }
    let max_sessions = TIERS[tier].2;
    let renewed_id = renewed.map(|at| &model.sessions[at].id);
    let own = model.live().filter(|session| {
        session.peer == id && model.relays(&session.server) && Some(&session.id) != renewed_id
    });
    if own.count() >= max_sessions {
        let refusal = answer.not_allocated(429, "session_limit", 60);
        assert_eq!(refusal["limit"]["allowed"], max_sessions);
        return None;
    }
    Some(answer)
}
