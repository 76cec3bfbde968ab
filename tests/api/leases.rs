//! When peers are listed, revived and removed: the rules of a lease.

use std::sync::Arc;

use peer_registry::clock::{ManualClock, rfc3339};
use peer_registry::server::Server;
use serde_json::json;

use crate::helpers::{START_MS, TestRegistry, ask, peer, secret, session_id, turn_server};

#[actix_web::test]
async fn a_lease_lasts_for_the_timeout_to_the_millisecond() {
    let registry = TestRegistry::start().await;
    let answer = registry.register(&peer("a")).await.ok();
    assert_eq!(answer["lastSeen"], START_MS);
    assert_eq!(answer["expiresAt"], START_MS + 600_000);
    registry.advance_secs(600);
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.advance_ms(1);
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn a_heartbeat_renews_the_lease() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for _ in 0..10 {
        registry.advance_secs(599);
        let answer = registry.heartbeat("a").await.ok();
        assert_eq!(answer["lastSeen"], registry.now_ms());
        assert_eq!(answer["expiresAt"], registry.now_ms() + 600_000);
    }
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[actix_web::test]
async fn no_read_cleans_up() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(601);
    let listing = registry.peers("").await.ok();
    assert_eq!(listing["total"], 0);
    assert_eq!(listing["totalRegistered"], 1);
    registry.turn_servers().await.ok();
    let stats = registry.stats().await.ok();
    assert_eq!(
        (&stats["totalPeers"], &stats["activePeers"]),
        (&json!(1), &json!(0))
    );
    registry.health().await.ok();
    assert_eq!(registry.stored_ids().await, ["a"]);
}

#[actix_web::test]
async fn each_mutation_cleans_up_first_and_counts_what_it_removed() {
    let registry = TestRegistry::start().await;
    for id in ["a", "b", "c"] {
        registry.register(&peer(id)).await.ok();
    }
    registry.advance_secs(300);
    registry.register(&peer("stays")).await.ok();
    registry.advance_secs(301);
    let answer = registry.register(&peer("d")).await.ok();
    assert_eq!(answer["cleanedExpiredPeers"], 3);
    assert_eq!(answer["totalPeers"], 2);
    assert_eq!(registry.stored_ids().await, ["d", "stays"]);
    let answer = registry.heartbeat("stays").await.ok();
    assert_eq!(answer["cleanedExpiredPeers"], 0);
    assert_eq!(registry.stats().await.ok()["peersCleaned"], 3);
}

#[actix_web::test]
async fn a_late_heartbeat_revives_its_peer_unless_a_cleanup_came_before() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("late")).await.ok();
    registry.register(&peer("later")).await.ok();
    registry.advance_secs(700);
    let answer = registry.heartbeat("late").await.ok();
    assert_eq!(answer["cleanedExpiredPeers"], 1);
    assert_eq!(registry.listed_ids().await, ["late"]);
    registry
        .heartbeat("later")
        .await
        .refused(404, "peer_not_found");
}

#[actix_web::test]
async fn a_late_registration_keeps_the_time_of_the_first() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(700);
    registry.register(&peer("a")).await.ok();
    let mut database = registry.database().await;
    let registered_at: i64 = sqlx::query_scalar("SELECT registered_at FROM peers")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(registered_at, START_MS);
}

#[actix_web::test]
async fn cleaned_counts_add_up_to_the_rows_removed() {
    let registry = TestRegistry::start().await;
    for number in 0..50 {
        registry.register(&peer(&format!("p{number}"))).await.ok();
    }
    registry.register(&peer("caller")).await.ok();
    registry.advance_secs(601);
    // Sent together, so that some of them share a transaction.
    let answers =
        futures_util::future::join_all((0..20).map(|_| registry.heartbeat("caller"))).await;
    let cleaned: u64 = answers
        .into_iter()
        .map(|answer| answer.ok()["cleanedExpiredPeers"].as_u64().unwrap())
        .sum();
    assert_eq!(cleaned, 50);
    assert_eq!(registry.stored_ids().await, ["caller"]);
}

#[actix_web::test]
async fn a_turn_offer_is_removed_with_its_peer() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("relay")).await.ok();
    let offer = json!({"peerId": "relay", "turnAddresses": ["203.0.113.20"], "turnPort": 3478});
    registry.register_turn_server(&offer).await.ok();
    registry.advance_secs(601);
    assert_eq!(registry.turn_servers().await.ok()["total"], 0);
    registry.register(&peer("other")).await.ok();
    assert_eq!(registry.stored_ids().await, ["other"]);
    registry.register(&peer("relay")).await.ok();
    assert_eq!(registry.turn_servers().await.ok()["total"], 0);
}

#[actix_web::test]
async fn a_restart_after_an_hour_still_lists_every_peer_with_the_rest_of_its_lease() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("old")).await.ok();
    registry.advance_secs(200);
    registry.register(&peer("new")).await.ok();
    registry.advance_secs(100);
    registry.stop().await;
    registry.advance_secs(3600);
    registry.resume().await;
    assert_eq!(registry.listed_ids().await, ["new", "old"]);
    registry.advance_secs(300);
    assert_eq!(registry.listed_ids().await, ["new", "old"]);
    registry.advance_ms(1);
    assert_eq!(registry.listed_ids().await, ["new"]);
    registry.advance_secs(200);
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn a_silent_peer_expires_after_one_timeout_of_up_time_even_if_the_process_stops_often() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("silent")).await.ok();
    for _ in 0..6 {
        registry.advance_secs(100);
        assert_eq!(registry.listed_ids().await, ["silent"]);
        registry.stop().await;
        registry.advance_secs(1000);
        registry.resume().await;
    }
    assert_eq!(registry.listed_ids().await, ["silent"]);
    registry.advance_ms(1);
    assert!(registry.listed_ids().await.is_empty());
    // The cleanup uses the same cutoff as the listing.
    assert_eq!(
        registry.register(&peer("b")).await.ok()["cleanedExpiredPeers"],
        1
    );
}

#[actix_web::test]
async fn a_peer_that_renewed_after_an_outage_has_no_credit_from_it() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.stop().await;
    registry.advance_secs(3600);
    registry.resume().await;
    registry.heartbeat("a").await.ok();
    registry.advance_ms(600_001);
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn a_wall_clock_set_back_while_the_registry_was_down_moves_no_lease() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(100);
    registry.stop().await;
    registry.clock.set(START_MS - 86_400_000);
    registry.resume().await;
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.advance_secs(500);
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.advance_ms(1);
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn a_start_with_a_clock_of_another_century_fails_with_a_temporary_error() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.stop().await;
    for now_ms in [0, 1_577_836_799_999, 4_102_444_800_000] {
        let clock = Arc::new(ManualClock::new(now_ms));
        let Err(error) = Server::start(&registry.config, clock).await else {
            panic!("started at {now_ms}");
        };
        assert!(error.may_pass(), "{error}");
    }
    registry.resume().await;
    assert_eq!(registry.listed_ids().await, ["a"]);
}

#[actix_web::test]
async fn a_lease_keeps_its_rest_across_a_run_with_a_clock_decades_ahead() {
    let mut registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(100);
    registry.stop().await;
    registry.clock.set(START_MS + 70 * 365 * 86_400_000);
    registry.resume().await;
    registry.advance_secs(100);
    registry.stop().await;
    registry.clock.set(START_MS + 3_600_000);
    registry.resume().await;
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.advance_secs(400);
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.advance_ms(1);
    assert!(registry.listed_ids().await.is_empty());
}

#[actix_web::test]
async fn a_step_of_the_wall_clock_moves_what_the_registry_tells_and_no_lease() {
    let registry = TestRegistry::start_changed(&[], |config| {
        config.turn_secrets = secret("north").split().collect();
    })
    .await;
    registry.register(&turn_server("turn", 5)).await.ok();
    registry.register(&peer("a")).await.ok();
    let hour_ms = 3_600_000;
    for (step_ms, ahead_ms) in [(hour_ms, hour_ms), (-3 * hour_ms, -2 * hour_ms)] {
        registry.clock.step_wall(step_ms);
        let wall_ms = START_MS + ahead_ms;
        let renewed = registry.heartbeat("a").await.ok();
        assert_eq!(renewed["timestamp"], rfc3339(wall_ms), "{renewed}");
        assert_eq!(renewed["expiresAt"], wall_ms + 600_000, "{renewed}");
        let health = registry.health().await.ok();
        assert_eq!(health["timestamp"], rfc3339(wall_ms), "{health}");
        assert_eq!(health["peers"], 2, "no lease has ended");
        let granted = registry.allocate(&ask("a")).await.ok();
        let expires_at_ms = granted["expiresAt"].as_i64().unwrap();
        assert!(expires_at_ms > wall_ms, "{granted}");
        let username = granted["iceServers"][0]["username"].as_str().unwrap();
        let (expiry_secs, _) = username.split_once(':').unwrap();
        let expiry_ms = expiry_secs.parse::<i64>().unwrap() * 1000;
        assert!(
            (0..=1_000).contains(&(expiry_ms - expires_at_ms)),
            "{username}"
        );
        let body = json!({ "peerId": "a", "sessionId": session_id(&granted) });
        registry.release(&body).await.ok();
    }
}
