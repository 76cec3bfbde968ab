//! Registrations that a registry refuses.

use peer_registry::agent::Event;
use peer_registry::protocol::ErrorCode;

use crate::helpers::*;

#[actix_web::test]
async fn a_refused_registration_is_reported_once_with_the_reason_of_the_registry() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let node = node();
    let revealing = node.clone().reveal_address("/ip4/203.0.113.7/tcp/4001");
    let agent = time.agent(revealing, &proxy.url).start().unwrap();
    let mut events = agent.events();

    time.wait_until_idle(1).await;
    match &present(&mut events).await[..] {
        [
            Event::Refused {
                code,
                message,
                retry_at_ms,
                ..
            },
        ] => {
            assert_eq!(*code, ErrorCode::PrivacyViolation);
            assert!(message.contains("addresses[1]"), "{message}");
            let wait_ms = retry_at_ms - START_MS;
            assert!((540_000..=660_000).contains(&wait_ms), "{wait_ms}");
        }
        other => panic!("{other:?}"),
    }
    time.pass(3_600, 1).await;
    assert!((5..=7).contains(&proxy.seen().len()), "every ten minutes");
    assert!(names(&mut events).await.is_empty(), "reported once");

    agent.update_registration(node.clone());
    while names(&mut events).await != ["registered"] {
        tokio::task::yield_now().await;
    }
    time.wait_until_idle(1).await;
    assert!(registry.lists(&id_of(&node)).await);
}

/// The event after a registration with this response.
async fn event_after(head: &str, body: &str) -> Event {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    proxy.responds(head, body);
    let agent = time.agent(node(), &proxy.url).start().unwrap();
    time.wait_until_idle(1).await;
    present(&mut agent.events()).await.remove(0)
}

#[actix_web::test]
async fn a_wrong_path_is_reported_and_tried_again_soon() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let url = format!("{}/nowhere/", registry.url);
    let agent = time.agent(node(), &url).start().unwrap();
    time.wait_until_idle(1).await;
    match &present(&mut agent.events()).await[..] {
        [
            Event::Unreachable {
                reason,
                registry,
                retry_at_ms,
            },
        ] => {
            assert!(reason.contains("404 not_found"), "{reason}");
            assert!(registry.ends_with("/nowhere"), "{registry}");
            assert!(retry_at_ms - START_MS <= 1_000, "{retry_at_ms}");
        }
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn any_other_refusal_is_a_fault_of_the_registry_and_tried_again_soon() {
    for (head, code) in [
        ("401 No", "unauthorized"),
        ("404 No", "session_not_found"),
        ("405 No", "method_not_allowed"),
        ("413 No", "payload_too_large"),
        ("415 No", "unsupported_media_type"),
        ("418 No", "short_and_stout"),
    ] {
        let body = format!("{{\"code\":\"{code}\",\"error\":\"its reason\"}}");
        match event_after(head, &body).await {
            Event::Unreachable {
                reason,
                retry_at_ms,
                ..
            } => {
                assert!(reason.contains("its reason"), "{reason}");
                assert!(reason.contains(code), "{reason}");
                assert!(retry_at_ms - START_MS <= 1_000, "{code}: {retry_at_ms}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn a_refusal_with_an_unknown_code_is_a_refusal() {
    for head in ["400 No", "403 No"] {
        let body = r#"{"code":"bad_moon","error":"the moon is bad"}"#;
        match event_after(head, body).await {
            Event::Refused { message, .. } => assert_eq!(message, "the moon is bad (bad_moon)"),
            other => panic!("{other:?}"),
        }
    }
}
