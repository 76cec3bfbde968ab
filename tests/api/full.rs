//! A full registry refuses new peers, and nobody else.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::{TestRegistry, peer};

/// Checks that a full registry refused, with a Retry-After.
#[track_caller]
fn refused_as_full(answer: Answer) {
    let secs: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((60..=120).contains(&secs), "{secs}");
    answer.refused(503, "registry_full");
}

#[actix_web::test]
async fn a_full_registry_refuses_new_peers_and_never_an_old_ones_renewal() {
    let registry = TestRegistry::start_with(&["--max-peers=2"]).await;
    registry.register(&peer("a")).await.ok();
    registry.register(&peer("b")).await.ok();
    refused_as_full(registry.register(&peer("c")).await);
    assert_eq!(registry.stored_ids().await, ["a", "b"]);
    assert_eq!(registry.listed_ids().await, ["a", "b"]);
    registry.advance_secs(300);
    registry.heartbeat("a").await.ok();
    let mut changed = peer("a");
    changed["version"] = json!("2");
    registry.register(&changed).await.ok();
    assert_eq!(registry.peers("version=2").await.ok()["total"], 1);
    let offer = json!({"peerId": "a", "turnAddresses": ["203.0.113.20"], "turnPort": 1});
    registry.register_turn_server(&offer).await.ok();
    // Not yet free: the lease of b ends one millisecond later.
    registry.advance_secs(300);
    refused_as_full(registry.register(&peer("c")).await);
    registry.advance_ms(1);
    let answer = registry.register(&peer("c")).await.ok();
    assert_eq!(answer["cleanedExpiredPeers"], 1);
    assert_eq!(answer["totalPeers"], 2);
    assert_eq!(registry.stored_ids().await, ["a", "c"]);
    refused_as_full(registry.register(&peer("b")).await);
}

#[actix_web::test]
async fn registrations_at_the_same_time_never_overfill_the_registry() {
    let registry = TestRegistry::start_with(&["--max-peers=5"]).await;
    let bodies: Vec<Value> = (0..40).map(|number| peer(&format!("p{number}"))).collect();
    let answers = join_all(bodies.iter().map(|body| registry.register(body))).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), refused.len()), (5, 35));
    refused.into_iter().for_each(refused_as_full);
    assert_eq!(registry.stored_ids().await.len(), 5);
    assert_eq!(registry.listed_ids().await.len(), 5);
}
