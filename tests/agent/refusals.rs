//! Registrations that a registry will not have.

use peer_registry::agent::Event;
use peer_registry::protocol::ErrorCode;

use crate::helpers::*;

#[actix_web::test]
async fn a_refused_registration_is_told_once_in_the_registrys_words() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let node = node();
    let revealing = node.clone().reveal_address("/ip4/203.0.113.7/tcp/4001");
    let agent = time.agent(revealing, &proxy.url).start().unwrap();
    let mut events = agent.events();

    time.settled(1).await;
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
    assert!(names(&mut events).await.is_empty(), "told once");

    agent.update_registration(node.clone());
    while names(&mut events).await != ["registered"] {
        tokio::task::yield_now().await;
    }
    time.settled(1).await;
    assert!(registry.lists(&id_of(&node)).await);
}

#[actix_web::test]
async fn a_wrong_path_is_told_as_what_it_is() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let url = format!("{}/nowhere/", registry.url);
    let agent = time.agent(node(), &url).start().unwrap();
    let mut events = agent.events();
    time.settled(1).await;
    match &present(&mut events).await[..] {
        [Event::Refused { code, registry, .. }] => {
            assert_eq!(*code, ErrorCode::NotFound);
            assert!(registry.ends_with("/nowhere"), "{registry}");
        }
        other => panic!("{other:?}"),
    }
}
