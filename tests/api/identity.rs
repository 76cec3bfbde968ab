//! An id belongs to the holder of its key.

use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::helpers::{TestRegistry, ids, peer, turn_server};
use crate::prover::Prover;

const DAY_SECS: u64 = 24 * 3600;

#[actix_web::test]
async fn a_stranger_cannot_take_over_an_id_that_was_proven() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    let registered = node.register(&registry).await.ok();
    for (path, body) in [
        ("/register", peer(&node.id)),
        ("/heartbeat", json!({ "peerId": node.id })),
        ("/register-turn-server", turn_server(&node.id, 10)),
        (
            "/allocate-turn",
            json!({ "peerId": node.id, "p2pAttempted": true }),
        ),
        (
            "/release-turn",
            json!({ "peerId": node.id, "sessionId": "x" }),
        ),
        (
            "/report-turn-usage",
            json!({ "peerId": node.id, "sessions": [] }),
        ),
    ] {
        let answer = registry.post(path, &body).await;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.starts_with("libp2p-PeerID challenge-client="),
            "{path}"
        );
        answer.refused(401, "authentication_required");
    }
    // The node itself goes on.
    let body = json!({ "peerId": node.id });
    let renewed = node.post(&registry, "/heartbeat", &body).await.ok();
    assert_eq!(
        renewed["registrationDigest"],
        registered["registrationDigest"]
    );
    let refusals = &registry.stats().await.ok()["refusals"];
    // The handshake of the node is no refusal.
    assert_eq!(refusals["authentication_required"], 6, "{refusals}");
}

#[actix_web::test]
async fn nodes_of_today_go_on_unchanged_beside_proven_ones() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("old")).await.ok();
    let mut node = Prover::new(&registry, 1);
    node.register(&registry).await.ok();
    registry.heartbeat("old").await.ok();
    registry.register(&peer("old")).await.ok();
    let listing = registry.peers("").await.ok();
    for peer in listing["peers"].as_array().unwrap() {
        assert_eq!(peer["authenticated"], peer["peerId"] != "old", "{peer}");
    }
    assert_eq!(
        ids(&registry.peers("authenticated=true").await.ok()),
        [&*node.id]
    );
    assert_eq!(
        ids(&registry.peers("authenticated=false").await.ok()),
        ["old"]
    );
}

#[actix_web::test]
async fn the_holder_of_the_key_takes_its_id_back_and_the_offer_of_the_stranger_goes() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    registry.register(&turn_server(&node.id, 10)).await.ok();
    assert_eq!(registry.turn_servers().await.ok()["total"], 1);
    node.register(&registry).await.ok();
    assert_eq!(registry.turn_servers().await.ok()["total"], 0);
    registry
        .register(&turn_server(&node.id, 10))
        .await
        .refused(401, "authentication_required");
    // An offer that the node itself has made stays when it registers again.
    let offer = turn_server(&node.id, 10);
    node.post(&registry, "/register-turn-server", &offer)
        .await
        .ok();
    node.register(&registry).await.ok();
    assert_eq!(registry.turn_servers().await.ok()["total"], 1);
}

#[actix_web::test]
async fn a_claim_outlives_the_lease_for_thirty_days() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    node.register(&registry).await.ok();
    registry.advance_secs(30 * DAY_SECS);
    registry.register(&peer("other")).await.ok();
    assert_eq!(registry.listed_ids().await, ["other"]);
    registry
        .register(&peer(&node.id))
        .await
        .refused(401, "authentication_required");
    registry.advance_ms(1);
    registry.register(&peer(&node.id)).await.ok();
    // The claim is gone from the table too.
    assert_eq!(registry.execute("DELETE FROM claims").await, 0);
}

#[actix_web::test]
async fn a_claim_survives_a_restart_and_an_operator_can_release_it() {
    let mut registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    node.register(&registry).await.ok();
    registry.stop().await;
    registry.resume().await;
    registry
        .register(&peer(&node.id))
        .await
        .refused(401, "authentication_required");
    assert_eq!(registry.execute("DELETE FROM claims").await, 1);
    registry.register(&peer(&node.id)).await.ok();
    let shown = registry.get(&format!("/peers/{}", node.id)).await.ok();
    assert_eq!(shown["peer"]["authenticated"], false);
}

#[actix_web::test]
async fn a_proven_peer_leaves_at_once_with_its_offer_and_its_sessions() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    let mut relay = Prover::new(&registry, 2);
    for prover in [&mut node, &mut relay] {
        prover.register(&registry).await.ok();
    }
    let offer = turn_server(&relay.id, 10);
    relay
        .post(&registry, "/register-turn-server", &offer)
        .await
        .ok();
    let ask = json!({ "peerId": node.id, "p2pAttempted": true });
    node.post(&registry, "/allocate-turn", &ask).await.ok();
    let path = format!("/peers/{}", node.id);
    let unproven = registry
        .request(Method::DELETE, &path)
        .send()
        .await
        .unwrap();
    Answer::of(unproven)
        .await
        .refused(401, "authentication_required");
    let left = node.unregister(&registry).await.ok();
    assert_eq!(
        (&left["peerId"], &left["totalPeers"]),
        (&json!(node.id), &json!(1))
    );
    assert_eq!(
        registry.turn_servers().await.ok()["servers"][0]["currentLoad"],
        0
    );
    assert_eq!(registry.stored_ids().await, [&*relay.id]);
    node.unregister(&registry)
        .await
        .refused(404, "peer_not_found");
    // The id still belongs to its key.
    registry
        .register(&peer(&node.id))
        .await
        .refused(401, "authentication_required");
    relay.unregister(&registry).await.ok();
    assert_eq!(registry.turn_servers().await.ok()["total"], 0);
}

#[actix_web::test]
async fn a_proof_is_of_one_peer_only() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    let mut thief = Prover::new(&registry, 2);
    node.register(&registry).await.ok();
    let body = json!({ "peerId": node.id });
    thief
        .post(&registry, "/heartbeat", &body)
        .await
        .refused(403, "identity_mismatch");
    let path = format!("/peers/{}", node.id);
    thief
        .send(&registry, Method::DELETE, &path, None)
        .await
        .refused(403, "identity_mismatch");
}

#[actix_web::test]
async fn the_crypto_ipv6_of_a_proven_peer_is_that_of_its_key() {
    let registry = TestRegistry::start().await;
    let mut node = Prover::new(&registry, 1);
    node.register(&registry).await.ok();
    let shown = registry.get(&format!("/peers/{}", node.id)).await.ok();
    let own = shown["peer"]["cryptoIPv6"].as_str().unwrap().to_owned();
    assert!(own.starts_with("fd00:"), "{own}");
    for (address, is_taken) in [(own.as_str(), true), ("fd00::bad", false)] {
        let mut body = node.registration();
        body["cryptoIPv6"] = json!(address);
        let answer = node.post(&registry, "/register", &body).await;
        match is_taken {
            true => drop(answer.ok()),
            false => drop(answer.refused(403, "privacy_violation")),
        }
    }
}

#[actix_web::test]
async fn a_handshake_works_on_every_path_and_its_info_is_on_every_response() {
    let registry = TestRegistry::start().await;
    for (method, path, body, status) in [
        (Method::GET, "/auth", None, 200),
        (Method::POST, "/auth", None, 200),
        (Method::OPTIONS, "/auth", None, 200),
        (Method::GET, "/peers", None, 200),
        (Method::GET, "/nowhere", None, 404),
        (Method::POST, "/register", Some(json!({ "peerId": 7 })), 400),
        (Method::POST, "/heartbeat", Some(json!({})), 400),
        (Method::PUT, "/peers", None, 405),
    ] {
        let mut node = Prover::new(&registry, 1);
        let answer = node
            .send(&registry, method.clone(), path, body.as_ref())
            .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(
            answer.header("authentication-info").is_some(),
            "{method} {path}"
        );
    }
    let mut node = Prover::new(&registry, 1);
    let proven = node.send(&registry, Method::GET, "/auth", None).await.ok();
    assert_eq!(proven["peerId"], node.id);
    assert_eq!(proven["expiresAt"], registry.now_ms() + 86_400_000);
    let protocols = registry.get("/.well-known/libp2p/protocols").await.ok();
    assert_eq!(
        protocols,
        json!({ "/http-peer-id-auth/1.0.0": { "path": "/auth" } })
    );
    // The registry names the key by which it proves itself.
    let health = registry.health().await.ok();
    assert!(
        health["registryPeerId"]
            .as_str()
            .unwrap()
            .starts_with("12D3KooW")
    );
}

#[actix_web::test]
async fn a_wrong_header_is_never_taken_for_no_header() {
    let registry = TestRegistry::start().await;
    registry.register(&peer("a")).await.ok();
    for header in [
        "libp2p-PeerID".to_owned(),
        "libp2p-PeerID bearer=\"AAAA\"".to_owned(),
        "libp2p-PeerID public-key=\"x\"".to_owned(),
        format!("libp2p-PeerID bearer=\"{}\"", "A".repeat(3000)),
    ] {
        let request = registry.request(Method::POST, "/heartbeat");
        let request = request
            .header("authorization", &header)
            .json(&json!({ "peerId": "a" }));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert!(answer.header("www-authenticate").is_some(), "{header}");
        answer.refused(401, "invalid_authentication");
    }
    // Other schemes are those of proxies.
    let request = registry.request(Method::POST, "/heartbeat");
    let request = request.basic_auth("user", Some("password"));
    let request = request.json(&json!({ "peerId": "a" }));
    Answer::of(request.send().await.unwrap()).await.ok();
}

#[actix_web::test]
async fn a_proof_for_another_host_is_refused_and_the_setting_is_named() {
    let registry = TestRegistry::start_with(&["--public-hosts=registry.example.org"]).await;
    let send = async |host: &str, header: String| {
        let request = registry.request(Method::GET, "/auth").header("host", host);
        let request = request.header("authorization", header);
        Answer::of(request.send().await.unwrap()).await
    };
    let mut lured = Prover::calling(1, "evil.example.net");
    let error = send("evil.example.net", lured.header())
        .await
        .refused(400, "unknown_host");
    assert!(error["error"].as_str().unwrap().contains("PUBLIC_HOSTS"));
    let mut node = Prover::calling(1, "registry.example.org");
    let answer = send("registry.example.org", node.header()).await;
    answer.refused(401, "authentication_required");
    // Without the header any name will do.
    let request = registry
        .request(Method::GET, "/peers")
        .header("host", "evil.example.net");
    Answer::of(request.send().await.unwrap()).await.ok();
}

#[actix_web::test]
async fn an_operator_can_keep_turn_sessions_for_proven_peers() {
    let registry = TestRegistry::start_with(&["--turn-requires-auth=true"]).await;
    registry.register(&turn_server("relay", 10)).await.ok();
    registry.register(&peer("old")).await.ok();
    registry
        .allocate(&json!({ "peerId": "old", "p2pAttempted": true }))
        .await
        .refused(401, "authentication_required");
    let mut node = Prover::new(&registry, 1);
    node.register(&registry).await.ok();
    let ask = json!({ "peerId": node.id, "p2pAttempted": true });
    node.post(&registry, "/allocate-turn", &ask).await.ok();
}
