//! Registrations that a registry refuses.

use peer_registry::agent::{Event, SetupError};
use peer_registry::protocol::{ErrorCode, RegisterRequest, TurnOffer};

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
            Event::Refused { code, message, .. } => {
                assert_eq!((code.as_str(), &*message), ("bad_moon", "the moon is bad"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[actix_web::test]
async fn one_detail_too_much_does_not_cost_the_node_its_place() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let node = node();
    let mut crowded = RegisterRequest::from(node.clone());
    let own = crowded.addresses[0].clone();
    crowded.addresses = vec![own.clone(); 17];
    crowded.stores = (0..1_030).map(|index| format!("store-{index}")).collect();
    crowded.version = Some(String::new());
    crowded.network_id = Some(" testnet\r\n".to_owned());
    crowded.software_version = Some("x".repeat(1_000));
    crowded.capabilities = Some(serde_json::json!({ "text": "x".repeat(9_000) }));
    crowded.server_port = Some(0);
    crowded.turn_capable = Some(true);
    crowded.turn = Some(TurnOffer {
        addresses: vec![],
        port: 0,
        capacity: 0,
    });
    let agent = time.agent(crowded.clone(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.wait_until_idle(1).await;
    let reported = present(&mut events).await;
    let Event::Dropped {
        registry: None,
        dropped,
    } = &reported[0]
    else {
        panic!("{reported:?}");
    };
    let fields: Vec<_> = dropped
        .iter()
        .map(|dropped| dropped.field.as_str())
        .collect();
    let expected = [
        "addresses[16]",
        "stores",
        "softwareVersion",
        "capabilities",
        "turnCapacity",
        "turnAddresses",
    ];
    assert_eq!(fields, expected);
    assert!(
        matches!(reported[1], Event::Registered { .. }),
        "{reported:?}"
    );
    assert!(registry.lists(&id_of(&node)).await);
    let network_id = registry
        .client
        .peer(&crowded.peer_id)
        .await
        .unwrap()
        .peer
        .network_id;
    assert_eq!(
        network_id.as_deref(),
        Some("testnet"),
        "blanks around it do not count"
    );

    crowded.addresses = vec!["a b".to_owned(), own];
    agent.update_registration(crowded);
    let reported = loop {
        let reported = present(&mut events).await;
        if !reported.is_empty() {
            break reported;
        }
        tokio::task::yield_now().await;
    };
    let Event::Dropped { dropped, .. } = &reported[0] else {
        panic!("{reported:?}");
    };
    assert_eq!(dropped[0].field, "addresses[0]");
}

#[actix_web::test]
async fn a_wrong_network_never_puts_the_node_into_all_networks() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    for wrong in ["test\u{202e}net", &"n".repeat(65), "test\nnet"] {
        let agent = time.agent(node().network_id(wrong), &registry.url);
        let error = agent.start().err();
        let is_named =
            matches!(&error, Some(SetupError::NetworkId { given, .. }) if given == wrong);
        assert!(is_named, "{error:?}");
    }
    assert_eq!(registry.client.stats().await.unwrap().registrations, 0);

    let agent = time.agent(node(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.wait_until_idle(1).await;
    present(&mut events).await;
    agent.update_registration(node().network_id("test\u{202e}net"));
    let event = events.next().await;
    assert!(matches!(event, Some(Event::Refused { .. })), "{event:?}");
}

#[actix_web::test]
async fn a_registration_without_an_id_is_an_error_of_the_setup() {
    let error = Time::start().agent(RegisterRequest::default(), "http://127.0.0.1:9");
    let error = error.start().err();
    assert!(matches!(error, Some(SetupError::NoPeerId)), "{error:?}");
    let error = Time::start()
        .agent(peer("-a"), "http://127.0.0.1:9")
        .start()
        .err();
    assert!(
        matches!(error, Some(SetupError::PeerId { .. })),
        "{error:?}"
    );
}
