//! Random sequences of operations, held against a plain model of the registry.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use sqlx::Row;

use crate::helpers::{TestRegistry, in_order, peer};

const TIMEOUT_MS: u64 = 10_000;

#[derive(Clone, Debug)]
enum Step {
    Register {
        peer: u8,
        version: u8,
        turn: Option<bool>,
    },
    Heartbeat {
        peer: u8,
    },
    OfferTurn {
        peer: u8,
    },
    Advance {
        ms: u64,
    },
    Restart {
        down_ms: u64,
    },
    /// Several heartbeats at once, so that some share a transaction.
    Burst {
        peers: Vec<u8>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0u8..6;
    prop_oneof![
        4 => (peer(), 0u8..3, prop::option::of(any::<bool>()))
            .prop_map(|(peer, version, turn)| Step::Register { peer, version, turn }),
        4 => peer().prop_map(|peer| Step::Heartbeat { peer }),
        1 => peer().prop_map(|peer| Step::OfferTurn { peer }),
        4 => (0..TIMEOUT_MS).prop_map(|ms| Step::Advance { ms }),
        1 => Just(Step::Advance { ms: TIMEOUT_MS + 1 }),
        1 => (0..5 * TIMEOUT_MS).prop_map(|down_ms| Step::Restart { down_ms }),
        1 => prop::collection::vec(peer(), 1..8).prop_map(|peers| Step::Burst { peers }),
    ]
}

/// What the registry should know of a peer.
#[derive(Clone, Debug)]
struct Known {
    /// The up-time and the wall time of the last renewal.
    renewed_up_ms: u64,
    last_seen_ms: i64,
    version: String,
    turn_capable: bool,
    has_turn: bool,
}

/// The registry as its contract describes it.
#[derive(Default)]
struct Model {
    up_ms: u64,
    peers: BTreeMap<String, Known>,
}

impl Model {
    fn is_active(&self, known: &Known) -> bool {
        self.up_ms - known.renewed_up_ms <= TIMEOUT_MS
    }

    fn active(&self) -> Vec<&String> {
        let active = self.peers.iter().filter(|(_, known)| self.is_active(known));
        active.map(|(id, _)| id).collect()
    }

    /// Removes the expired peers except the senders; returns how many.
    fn clean_up(&mut self, senders: &[String]) -> usize {
        let before = self.peers.len();
        let up_ms = self.up_ms;
        self.peers
            .retain(|id, known| up_ms - known.renewed_up_ms <= TIMEOUT_MS || senders.contains(id));
        before - self.peers.len()
    }

    fn renew(&mut self, id: &str, now_ms: i64) {
        let up_ms = self.up_ms;
        let known = self.peers.get_mut(id).expect("a registered peer");
        known.renewed_up_ms = up_ms;
        known.last_seen_ms = now_ms;
    }
}

async fn take(registry: &mut TestRegistry, model: &mut Model, step: &Step) {
    let name = |peer: &u8| format!("peer-{peer}");
    match step {
        Step::Advance { ms } => {
            registry.advance_ms(*ms);
            model.up_ms += ms;
        }
        Step::Restart { down_ms } => {
            registry.stop().await;
            registry.advance_ms(*down_ms);
            registry.resume().await;
            // A start removes expired peers before it reads the table.
            model.clean_up(&[]);
        }
        Step::Register {
            peer: number,
            version,
            turn,
        } => register(registry, model, &name(number), *version, *turn).await,
        Step::Heartbeat { peer } => {
            let id = name(peer);
            let answer = registry.heartbeat(&id).await;
            if model.peers.contains_key(&id) {
                let cleaned = model.clean_up(std::slice::from_ref(&id));
                model.renew(&id, registry.now_ms());
                let answer = answer.ok();
                assert_eq!(answer["cleanedExpiredPeers"], cleaned);
                assert_eq!(answer["totalPeers"], model.peers.len());
                assert_eq!(answer["lastSeen"], registry.now_ms());
            } else {
                answer.refused(404, "peer_not_found");
            }
        }
        Step::OfferTurn { peer } => {
            let id = name(peer);
            let offer = json!({"peerId": id, "turnAddresses": ["203.0.113.1"], "turnPort": 1});
            let answer = registry.register_turn_server(&offer).await;
            if model.peers.contains_key(&id) {
                let cleaned = model.clean_up(std::slice::from_ref(&id));
                model.renew(&id, registry.now_ms());
                let known = model.peers.get_mut(&id).unwrap();
                (known.turn_capable, known.has_turn) = (true, true);
                assert_eq!(answer.ok()["cleanedExpiredPeers"], cleaned);
            } else {
                answer.refused(404, "peer_not_found");
            }
        }
        Step::Burst { peers } => {
            burst(registry, model, &peers.iter().map(name).collect::<Vec<_>>()).await
        }
    }
}

async fn register(
    registry: &TestRegistry,
    model: &mut Model,
    id: &str,
    version: u8,
    turn: Option<bool>,
) {
    let mut body = peer(id);
    body["version"] = json!(format!("1.{version}"));
    body["stores"] = json!([format!("store-{version}"), "store-of-all"]);
    body["turnCapable"] = json!(turn);
    body["turnAddresses"] = json!(["203.0.113.1"]);
    body["turnPort"] = json!(3478);
    let answer = registry.register(&body).await.ok();
    let cleaned = model.clean_up(&[id.to_owned()]);
    let had_turn = model.peers.get(id).is_some_and(|known| known.has_turn);
    let has_turn = turn.unwrap_or(had_turn);
    let known = Known {
        renewed_up_ms: model.up_ms,
        last_seen_ms: registry.now_ms(),
        version: format!("1.{version}"),
        turn_capable: has_turn,
        has_turn,
    };
    model.peers.insert(id.to_owned(), known);
    assert_eq!(answer["cleanedExpiredPeers"], cleaned);
    assert_eq!(answer["totalPeers"], model.peers.len());
}

/// The order of the heartbeats is unknown, so an expired peer may be revived or removed. The counts
/// must add up to the removed rows in either case.
async fn burst(registry: &TestRegistry, model: &mut Model, ids: &[String]) {
    let before = registry.stored_ids().await.len();
    let answers = futures_util::future::join_all(ids.iter().map(|id| registry.heartbeat(id))).await;
    let mut cleaned = 0;
    let mut renewed = Vec::new();
    for (id, answer) in ids.iter().zip(answers) {
        if answer.status == 200 {
            cleaned += answer.body["cleanedExpiredPeers"].as_u64().unwrap();
            renewed.push(id.clone());
        } else {
            answer.refused(404, "peer_not_found");
            let is_live = model
                .peers
                .get(id)
                .is_some_and(|known| model.is_active(known));
            assert!(!is_live, "{id} was live and was refused");
        }
    }
    if !renewed.is_empty() {
        model.clean_up(&renewed);
    }
    for id in &renewed {
        model.renew(id, registry.now_ms());
    }
    assert_eq!(before - registry.stored_ids().await.len(), cleaned as usize);
}

/// The listings, the model and the table say the same.
async fn check(registry: &TestRegistry, model: &Model) {
    let listing = registry.peers("includeStores=true").await.ok();
    let peers = listing["peers"].as_array().unwrap();
    let ids: Vec<&str> = peers
        .iter()
        .map(|peer| peer["peerId"].as_str().unwrap())
        .collect();
    assert_eq!(in_order(ids.clone()), model.active());
    assert_eq!(listing["total"], ids.len());
    assert_eq!(listing["totalRegistered"], model.peers.len());
    assert_eq!(
        registry.stored_ids().await,
        model.peers.keys().cloned().collect::<Vec<_>>()
    );
    let mut database = registry.database().await;
    let rows = sqlx::query("SELECT peer_id, last_seen, version, turn_capable, turn_port IS NOT NULL, stores FROM peers")
        .fetch_all(&mut database)
        .await
        .unwrap();
    for row in rows {
        let id: String = row.get(0);
        let known = &model.peers[&id];
        assert_eq!(row.get::<i64, _>(1), known.last_seen_ms, "{id}");
        assert_eq!(row.get::<String, _>(2), known.version, "{id}");
        assert_eq!(row.get::<bool, _>(3), known.turn_capable, "{id}");
        assert_eq!(row.get::<bool, _>(4), known.has_turn, "{id}");
        if let Some(peer) = peers.iter().find(|peer| peer["peerId"] == id) {
            assert_eq!(peer["lastSeen"], known.last_seen_ms);
            assert_eq!(peer["version"], known.version);
            assert_eq!(peer["turnCapable"], known.turn_capable);
            let stores: Value = serde_json::from_str(row.get(5)).unwrap();
            assert_eq!(peer["stores"], stores);
        }
    }
    let alive_at: i64 = sqlx::query_scalar("SELECT alive_at FROM registry_state")
        .fetch_one(&mut database)
        .await
        .unwrap();
    if alive_at == registry.now_ms() {
        // The wall clock is far from the test's clock, so the view shows the leases as of `alive_at`.
        let viewed: Vec<String> = sqlx::query_scalar("SELECT peer_id FROM active_peers")
            .fetch_all(&mut database)
            .await
            .unwrap();
        assert_eq!(viewed.iter().collect::<Vec<_>>(), model.active());
    }
    for version in 0..3 {
        let found = registry.peers(&format!("store=store-{version}")).await.ok();
        let named =
            |known: &&Known| known.version == format!("1.{version}") && model.is_active(known);
        assert_eq!(found["total"], model.peers.values().filter(named).count());
    }
    let relays = |known: &&Known| known.has_turn && model.is_active(known);
    let turn_servers = registry.turn_servers().await.ok();
    assert_eq!(
        turn_servers["total"],
        model.peers.values().filter(relays).count()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_behaves_as_its_model(steps in prop::collection::vec(step(), 1..40)) {
        actix_web::rt::System::new().block_on(async {
            let mut registry =
                TestRegistry::start_with(&["--peer-timeout-secs=10", "--heartbeat-interval-secs=5"]).await;
            let mut model = Model::default();
            for step in &steps {
                take(&mut registry, &mut model, step).await;
                check(&registry, &model).await;
            }
            registry.stop().await;
        });
    }
}
