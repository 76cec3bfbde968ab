//! What operators may do, how they prove who they are, and that nobody else can do it.

use peer_registry::server::config::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::{ADMIN_TOKEN, TestRegistry, ask, peer, secret, turn_server};

/// Each admin path with a valid body.
fn admin_requests() -> [(&'static str, Value); 3] {
    [
        ("/admin/peers/a/tier", json!({ "tier": "premium" })),
        (
            "/admin/spend",
            json!({ "currentSpendUsd": 799, "asOf": "2026-01-01T00:00:00Z" }),
        ),
        (
            "/admin/mode",
            json!({ "mode": "shutdown", "until": "2026-01-02T00:00:00Z" }),
        ),
    ]
}

async fn start(token: Option<&str>) -> TestRegistry {
    start_with(&[], token).await
}

async fn start_with(flags: &[&str], token: Option<&str>) -> TestRegistry {
    let flags = [&["--egress-usd-per-gb=0"], flags].concat();
    let set_token = |config: &mut Config| config.admin_token = token.map(secret);
    let registry = TestRegistry::start_changed(&flags, set_token).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry
}

/// Checks that none of [`admin_requests`] had an effect.
async fn nothing_was_changed(registry: &TestRegistry) {
    let stats = registry.cost_stats().await.ok();
    assert_eq!(
        (&stats["source"], &stats["mode"]["name"]),
        (&json!("metered"), &json!("normal"))
    );
    let mut database = registry.database().await;
    let tiers: i64 = sqlx::query_scalar("SELECT count(*) FROM peer_tiers")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(tiers, 0);
}

/// The bandwidth that `a` is granted when it asks for the max with these claims.
async fn mbps(registry: &TestRegistry, claims: Value) -> u64 {
    let mut body = ask("a");
    body["estimatedBandwidthMbps"] = json!(1000);
    for (name, value) in claims.as_object().unwrap() {
        body[name] = value.clone();
    }
    let granted = registry.allocate(&body).await.ok();
    let release = json!({ "peerId": "a", "sessionId": granted["sessionId"] });
    registry.release(&release).await.ok();
    granted["limits"]["maxBandwidthMbps"].as_u64().unwrap()
}

#[actix_web::test]
async fn without_a_token_in_the_settings_the_admin_paths_do_not_exist() {
    let registry = start(None).await;
    for (path, body) in admin_requests() {
        for token in ["", "Bearer", "Bearer ", "Bearer x"] {
            for method in [Method::PUT, Method::GET, Method::POST] {
                let request = registry
                    .request(method, path)
                    .header("authorization", token);
                let answer = Answer::of(request.json(&body).send().await.unwrap()).await;
                let unknown = registry.get("/nowhere").await;
                assert_eq!(answer.body, unknown.body, "as any path that is none");
                answer.refused(404, "not_found");
            }
        }
    }
    nothing_was_changed(&registry).await;
}

#[actix_web::test]
async fn a_request_without_the_token_is_refused_and_changes_nothing() {
    let mut tokens = vec![
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(ADMIN_TOKEN.to_owned()),
        Some(format!("Basic {ADMIN_TOKEN}")),
        Some(format!("Bearer{ADMIN_TOKEN}")),
        Some(format!("Bearer {ADMIN_TOKEN}x")),
        Some(format!("Bearer  {ADMIN_TOKEN}")),
        Some(format!("Bearer {ADMIN_TOKEN} {ADMIN_TOKEN}")),
        Some(format!("Bearer {}", ADMIN_TOKEN.to_uppercase())),
    ];
    tokens.extend((0..ADMIN_TOKEN.len()).map(|at| Some(format!("Bearer {}", &ADMIN_TOKEN[..at]))));
    let mut bodies = Vec::new();
    for (path, body) in admin_requests() {
        let mut registry = start(Some(ADMIN_TOKEN)).await;
        for (at, token) in tokens.iter().enumerate() {
            // A new registry before wrong tokens are slowed down.
            if at > 0 && at % 10 == 0 {
                nothing_was_changed(&registry).await;
                registry = start(Some(ADMIN_TOKEN)).await;
            }
            let mut request = registry.request(Method::PUT, path).json(&body);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer"),
                "{token:?}"
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            bodies.push(answer.refused(401, "unauthorized"));
        }
        // The response must not reveal what else is wrong with the request.
        let request = registry.request(Method::PUT, path).body("not JSON");
        let answer = Answer::of(request.send().await.unwrap()).await;
        bodies.push(answer.refused(401, "unauthorized"));
        nothing_was_changed(&registry).await;
    }
    bodies.dedup();
    assert_eq!(
        bodies.len(),
        1,
        "they tell nothing of what was wrong: {bodies:?}"
    );
}

#[actix_web::test]
async fn guessing_the_token_is_slowed_down_and_the_right_one_always_works() {
    let registry = start(Some(ADMIN_TOKEN)).await;
    let (path, body) = &admin_requests()[0];
    let send = async |token: &str| {
        let request = registry.request(Method::PUT, path).json(body);
        let request = request.header("authorization", format!("Bearer {token}"));
        Answer::of(request.send().await.unwrap()).await
    };
    for at in 0..10 {
        let guess = send(&format!("guess-{at}")).await;
        guess.refused(401, "unauthorized");
    }
    nothing_was_changed(&registry).await;
    for at in 10..20 {
        let guess = send(&format!("guess-{at}")).await;
        let secs: u64 = guess.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=65).contains(&secs), "{secs}");
        guess.refused(429, "throttled");
        send(ADMIN_TOKEN).await.ok();
    }
    // A request without a token is not a guess.
    let request = registry.request(Method::PUT, path).json(body);
    let answer = Answer::of(request.send().await.unwrap()).await;
    answer.refused(401, "unauthorized");
}

#[actix_web::test]
async fn the_scheme_of_the_token_is_spelled_in_any_case() {
    // RFC 9110, section 11.1.
    let registry = start(Some(ADMIN_TOKEN)).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = registry
            .request(Method::PUT, "/admin/peers/a/tier")
            .header("authorization", format!("{scheme} {ADMIN_TOKEN}"))
            .json(&json!({ "tier": "basic" }));
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let expected = json!({
            "success": true, "mode": "normal", "cleanedExpiredPeers": 0,
            "timestamp": "2026-01-01T00:00:00.000Z",
        });
        assert_eq!(answer.ok(), expected);
    }
}

#[actix_web::test]
async fn admin_paths_take_put_only() {
    let registry = start(Some(ADMIN_TOKEN)).await;
    for (path, _) in admin_requests() {
        let answer = registry.post(path, &json!({})).await;
        assert_eq!(answer.header("allow"), Some("PUT"));
        answer.refused(405, "method_not_allowed");
    }
}

#[actix_web::test]
async fn a_peer_cannot_raise_its_tier_but_can_lower_it() {
    let flags = ["--max-allocations-per-minute=16"];
    let registry = TestRegistry::start_with_operator(&flags).await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    for claims in [
        json!({ "userTier": "premium" }),
        json!({ "isPremium": true }),
        json!({ "userTier": "premium", "isPremium": true }),
        json!({ "tier": "premium" }),
    ] {
        assert_eq!(mbps(&registry, claims.clone()).await, 5, "{claims}");
    }
    registry.set_tier("a", "premium").await.ok();
    for (claims, granted) in [
        (json!({}), 100),
        (json!({ "userTier": null, "isPremium": null }), 100),
        (json!({ "isPremium": true }), 100),
        (json!({ "isPremium": false }), 50),
        (json!({ "userTier": "basic" }), 10),
        (json!({ "userTier": "free", "isPremium": true }), 5),
        (json!({ "userTier": "premium", "isPremium": false }), 50),
    ] {
        assert_eq!(mbps(&registry, claims.clone()).await, granted, "{claims}");
    }
}

#[actix_web::test]
async fn with_trust_client_tier_peers_choose_their_tier() {
    let registry = start_with(&["--trust-client-tier=true"], None).await;
    for (claims, granted) in [
        (json!({}), 5),
        (json!({ "userTier": "standard" }), 50),
        (json!({ "userTier": "premium" }), 100),
        (json!({ "isPremium": true }), 100),
        (json!({ "userTier": "basic", "isPremium": false }), 10),
    ] {
        assert_eq!(mbps(&registry, claims.clone()).await, granted, "{claims}");
    }
}

#[actix_web::test]
async fn a_tier_can_be_set_for_any_peer_id_registered_or_not() {
    let mut registry = TestRegistry::start_with_operator(&[]).await;
    registry.set_tier("a", "standard").await.ok();
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    assert_eq!(mbps(&registry, json!({})).await, 50);
    // It outlives the peer's registration and the process.
    registry.advance_secs(601);
    registry.register(&turn_server("turn", 10)).await.ok();
    assert_eq!(registry.stored_ids().await, ["turn"]);
    registry.stop().await;
    registry.resume().await;
    registry.register(&peer("a")).await.ok();
    assert_eq!(mbps(&registry, json!({})).await, 50);
    registry.set_tier("a", "free").await.ok();
    assert_eq!(mbps(&registry, json!({})).await, 5);
}

#[actix_web::test]
async fn setting_a_tier_renews_no_lease() {
    let registry = TestRegistry::start_with_operator(&[]).await;
    registry.register(&peer("a")).await.ok();
    registry.advance_secs(300);
    registry.set_tier("a", "basic").await.ok();
    registry.advance_ms(300_001);
    assert!(registry.listed_ids().await.is_empty());
}
