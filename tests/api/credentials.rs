//! The credentials that peers show to a TURN server, and where their secret must not appear.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha1::Sha1;

use crate::helpers::{
    ADMIN_TOKEN, START_MS, TestRegistry, ask, peer, secret, session_id, turn_server,
};

async fn start(secrets: &str) -> TestRegistry {
    let registry = TestRegistry::start_changed(&[], |config| {
        config.admin_token = Some(secret(ADMIN_TOKEN));
        config.turn_secrets = secret(secrets).split().collect();
    })
    .await;
    registry.register(&turn_server("turn", 10)).await.ok();
    registry.register(&peer("a")).await.ok();
    registry
}

/// Signs like coturn.
fn sign(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

async fn ice_server(registry: &TestRegistry) -> Value {
    let granted = registry.allocate(&ask("a")).await.ok();
    let servers = granted["iceServers"].as_array().unwrap();
    assert_eq!(servers.len(), 1);
    let body = serde_json::json!({ "peerId": "a", "sessionId": session_id(&granted) });
    registry.release(&body).await.ok();
    servers[0].clone()
}

#[actix_web::test]
async fn with_a_secret_the_credentials_outlast_the_session_and_name_the_peer() {
    let registry = start("north").await;
    let server = ice_server(&registry).await;
    let username = format!("{}:a", START_MS / 1000 + 3600 + 1);
    assert_eq!(server["username"], username);
    assert_eq!(server["credential"], sign("north", &username));
    assert_eq!(server["urls"].as_array().unwrap().len(), 4);
}

#[actix_web::test]
async fn the_first_of_several_secrets_signs() {
    for secrets in ["new,old", ",new,,old"] {
        let server = ice_server(&start(secrets).await).await;
        let username = server["username"].as_str().unwrap();
        assert_eq!(server["credential"], sign("new", username), "{secrets:?}");
    }
}

#[actix_web::test]
async fn without_a_secret_there_are_urls_only() {
    for secrets in ["", ","] {
        let server = ice_server(&start(secrets).await).await;
        let keys: Vec<_> = server.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["urls"], "{secrets:?}");
    }
}

#[actix_web::test]
async fn a_renewal_comes_with_new_credentials() {
    let registry = start("north").await;
    let granted = registry.allocate(&ask("a")).await.ok();
    registry.advance_secs(500);
    let mut renewal = ask("a");
    renewal["sessionId"] = granted["sessionId"].clone();
    let renewed = registry.allocate(&renewal).await;
    assert_eq!(renewed.header("cache-control"), Some("no-store"));
    let username = format!("{}:a", START_MS / 1000 + 500 + 3600 + 1);
    assert_eq!(renewed.ok()["iceServers"][0]["username"], username);
}

#[actix_web::test]
async fn neither_secret_nor_token_is_in_any_answer_or_debug_output() {
    let registry = start("north-of-the-wall,old-secret").await;
    registry.heartbeat("turn").await.ok();
    let mut texts = vec![format!("{:?}", registry.config)];
    for target in [
        "/peers?includeStores=true&includeCapabilities=true",
        "/turn-servers",
        "/stats",
        "/cost-stats",
        "/health",
        "/nowhere",
        "/admin/mode",
    ] {
        let answer = registry.get(target).await;
        texts.push(format!("{:?} {}", answer.headers, answer.body));
    }
    for (path, body) in [
        ("/allocate-turn", ask("a")),
        ("/allocate-turn", ask("a")),
        ("/allocate-turn", ask("nobody")),
        ("/allocate-turn", Value::Null),
        ("/release-turn", ask("a")),
        ("/report-turn-usage", ask("a")),
    ] {
        let answer = registry.post(path, &body).await;
        texts.push(format!("{:?} {}", answer.headers, answer.body));
    }
    let answer = registry.set_tier("a", "gold").await;
    texts.push(format!("{:?} {}", answer.headers, answer.body));
    for text in texts {
        for secret in ["north-of-the-wall", "old-secret", ADMIN_TOKEN] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
