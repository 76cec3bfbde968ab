//! Which names and texts are accepted, so that no peer can hide in a listing or always be first.

use serde_json::json;

use crate::helpers::{TestRegistry, peer};

#[actix_web::test]
async fn a_filter_with_an_invisible_character_is_refused_with_the_reason() {
    let registry = TestRegistry::start().await;
    for name in ["networkId", "version", "store"] {
        let query = format!("{name}=a%E2%80%AEb");
        let refused = registry.peers(&query).await.refused(400, "invalid_field");
        assert_eq!(refused["field"], name);
        let sentence = refused["error"].as_str().unwrap();
        assert!(sentence.contains("without control or invisible characters"));
    }
}

#[actix_web::test]
async fn an_address_with_an_invisible_character_is_listed_under_neither_policy() {
    let addresses = json!(["/ip6/fd00::1/tcp/1", "evil\u{202e}moc.elpmaxe"]);
    let body = json!({ "peerId": "a", "addresses": addresses });
    let registry = TestRegistry::start_with(&["--address-policy=any"]).await;
    let answer = registry.register(&body).await.ok();
    assert_eq!(answer["dropped"][0]["field"], "addresses[1]");
    let listed = registry.peers("").await.ok();
    assert_eq!(listed["peers"][0]["addresses"], json!([addresses[0]]));
    // It may hide a host.
    let registry = TestRegistry::start().await;
    let refused = registry.register(&body).await;
    let refused = refused.refused(403, "privacy_violation");
    assert_eq!(refused["field"], "addresses[1]");
}

#[actix_web::test]
async fn a_new_id_must_begin_with_a_letter_or_digit_but_an_older_one_stays_registered() {
    // Without this rule, peers could choose ids that are always on the first page.
    let mut registry = TestRegistry::start().await;
    for id in ["-a", ".a", "_a"] {
        let refused = registry
            .register(&peer(id))
            .await
            .refused(400, "invalid_field");
        assert_eq!(refused["field"], "peerId");
        let sentence = refused["error"].as_str().unwrap();
        assert!(sentence.contains("letter or digit"), "{sentence}");
    }
    registry.register(&peer("b")).await.ok();
    registry.stop().await;
    let rename = "UPDATE peers SET peer_id = '-b' WHERE peer_id = 'b'";
    assert_eq!(registry.execute(rename).await, 1);
    registry.resume().await;
    registry.heartbeat("-b").await.ok();
    assert_eq!(registry.listed_ids().await, ["-b"]);
    registry.peers("exclude=-b").await.ok();
    registry.peers("cursor=-b").await.ok();
}
