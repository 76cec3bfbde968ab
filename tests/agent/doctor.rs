//! The doctor, against the real registry and against other servers.

use peer_registry::agent::doctor::{Finding, Subject, Verdict, examine};
use peer_registry::protocol::{HealthStatus, RegisterRequest};

use crate::helpers::*;

async fn look(time: &Time, url: &str) -> Finding {
    let findings = examine(&time.client(url), Subject::Registry).await;
    findings.into_iter().next().unwrap()
}

async fn listing(registry: &TestRegistry, announced: &RegisterRequest) -> Finding {
    let subject = Subject::Listing {
        peer_id: &announced.peer_id,
        announced: Some(announced),
        lease_secs: 600,
    };
    examine(&registry.client, subject).await.pop().unwrap()
}

#[actix_web::test]
async fn a_registry_that_serves_has_good_findings_only() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let findings = examine(&registry.client, Subject::Registry).await;
    assert!(
        matches!(findings[0], Finding::Serves { .. }),
        "{findings:?}"
    );
    assert_eq!(findings[1..], [Finding::ClockAgrees]);
}

#[actix_web::test]
async fn a_name_that_does_not_resolve_is_reported() {
    let finding = look(&Time::start(), "http://registry.invalid").await;
    let Finding::NameUnknown { host, .. } = &finding else {
        panic!("{finding:?}");
    };
    assert_eq!(host, "registry.invalid");
}

#[actix_web::test]
async fn a_port_without_a_listener_is_reported() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.stop().await;
    let finding = look(&time, &registry.url).await;
    let Finding::NoConnection { address, reason } = &finding else {
        panic!("{finding:?}");
    };
    assert_eq!(*address, registry.addr().to_string());
    assert!(reason.contains("refused"), "{reason}");
}

#[actix_web::test]
async fn a_registry_without_tls_is_reported() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let url = registry.url.replace("http://", "https://");
    let finding = look(&time, &url).await;
    assert!(matches!(finding, Finding::TlsFailed { .. }), "{finding:?}");
    assert!(finding.advice().unwrap().contains("http://"));
}

#[actix_web::test]
async fn a_registry_that_never_responds_is_reported() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    proxy.does(Conduct::Hang);
    let client = time.client(&proxy.url);
    let patience = async {
        time.clock.wait_for(|waiting| waiting.guards == 1).await;
        time.clock.set(time.clock.next_guard_ms().unwrap());
    };
    let (findings, ()) = tokio::join!(examine(&client, Subject::Registry), patience);
    assert!(
        matches!(findings[..], [Finding::NoAnswer { .. }]),
        "{findings:?}"
    );
}

#[actix_web::test]
async fn a_server_that_is_not_a_registry_is_reported() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let mut stranger = registry.client.health().await.unwrap();
    stranger.service = "bakery".to_owned();
    let answers = [
        ("200 OK", "<html>Welcome</html>".to_owned()),
        ("404 Not Found", "<html>".to_owned()),
        ("302 Found\r\nLocation: http://portal/", String::new()),
        ("200 OK", serde_json::to_string(&stranger).unwrap()),
    ];
    for (head, body) in answers {
        proxy.responds(head, &body);
        let finding = look(&time, &proxy.url).await;
        assert!(
            matches!(finding, Finding::NotARegistry { .. }),
            "{finding:?}"
        );
        assert_eq!(finding.verdict(), Verdict::Unreachable);
    }
    let finding = look(&time, &format!("{}/base", registry.url)).await;
    assert_eq!(finding, Finding::WrongPath);
}

#[actix_web::test]
async fn a_registry_that_cannot_serve_or_asks_the_node_to_wait_is_reported() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let mut health = registry.client.health().await.unwrap();
    health.status = HealthStatus::Degraded;
    proxy.responds("503 Degraded", &serde_json::to_string(&health).unwrap());
    let status = HealthStatus::Degraded;
    assert_eq!(
        look(&time, &proxy.url).await,
        Finding::CannotServe { status }
    );
    proxy.responds("429 Slow Down\r\nRetry-After: 9", "<html>");
    let finding = look(&time, &proxy.url).await;
    assert!(matches!(finding, Finding::Throttled { .. }), "{finding:?}");
}

#[actix_web::test]
async fn a_wrong_clock_is_reported() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let late = Time::start();
    late.clock.advance(std::time::Duration::from_secs(90));
    let findings = examine(&late.client(&registry.url), Subject::Registry).await;
    assert_eq!(findings[1], Finding::ClockDiffers { ahead_ms: 90_000 });
}

#[actix_web::test]
async fn looking_up_the_node_does_not_change_its_entry() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["zzz", "1", "12D3KooW"]).await;
    let announced = RegisterRequest::from(node());
    let unknown = Finding::NotListed { revealing: vec![] };
    assert_eq!(listing(&registry, &announced).await, unknown);

    registry.client.register(&announced).await.unwrap();
    time.clock.advance(std::time::Duration::from_secs(200));
    let renewed_ago_ms = 200_000;
    assert_eq!(
        listing(&registry, &announced).await,
        Finding::Listed { renewed_ago_ms }
    );
    time.clock.advance(std::time::Duration::from_secs(350));
    assert_eq!(
        listing(&registry, &announced).await,
        Finding::LeaseNearlyOut {
            renewed_ago_ms: 550_000,
            lease_secs: 600
        }
    );
    time.clock.advance(std::time::Duration::from_secs(51));
    assert_eq!(listing(&registry, &announced).await, unknown);
    let stats = registry.client.stats().await.unwrap();
    assert_eq!((stats.registrations, stats.heartbeats), (4, 0));
}

#[actix_web::test]
async fn a_peer_with_a_name_of_one_character_is_found_too() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a", "b", "bb"]).await;
    let finding = listing(&registry, &peer("b")).await;
    assert_eq!(finding, Finding::Listed { renewed_ago_ms: 0 });
}

#[actix_web::test]
async fn a_registry_with_a_listing_too_long_to_read_is_still_a_registry() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let announced = RegisterRequest::from(node());
    let subject = Subject::Listing {
        peer_id: &announced.peer_id,
        announced: None,
        lease_secs: 600,
    };
    let health = serde_json::to_string(&registry.client.health().await.unwrap()).unwrap();
    let padding = " ".repeat(20 * 1024 * 1024 + 1);
    proxy.responds_in_turn([("200 OK", &*health), ("200 OK", &*padding)]);
    let findings = examine(&time.client(&proxy.url), subject).await;
    let last = findings.last().unwrap();
    assert!(matches!(last, Finding::ListingTooLong { .. }), "{last:?}");
    assert!(!last.to_string().contains("not"), "{last}");
}

#[actix_web::test]
async fn with_a_registration_it_reports_the_response_of_the_registry() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let register = async |announced: &RegisterRequest| {
        let subject = Subject::Registration(announced);
        examine(&registry.client, subject).await.pop().unwrap()
    };
    let mut announced = RegisterRequest::from(node());
    let accepted = Finding::Accepted {
        lease_ms: 600_000,
        heartbeat_interval_secs: 120,
    };
    assert_eq!(register(&announced).await, accepted);

    announced
        .addresses
        .push("/ip4/203.0.113.7/tcp/4001".to_owned());
    let finding = register(&announced).await;
    assert!(
        matches!(finding, Finding::AddressRefused { .. }),
        "{finding:?}"
    );
    announced.addresses.pop();
    announced.network_id = Some("x".repeat(65));
    let finding = register(&announced).await;
    assert!(
        matches!(finding, Finding::RegistrationRefused { .. }),
        "{finding:?}"
    );
    assert_eq!(finding.verdict(), Verdict::Wrong);
}
