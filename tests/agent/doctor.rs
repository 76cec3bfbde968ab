//! The doctor, against the real registry and against other servers.

use peer_registry::agent::Registration;
use peer_registry::agent::doctor::{Finding, Subject, Verdict, examine};
use peer_registry::protocol::PeersQuery;
use peer_registry::protocol::{ErrorCode, HealthStatus, PeerResponse, RegisterRequest};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::helpers::*;

async fn look(time: &Time, url: &str) -> Finding {
    let findings = examine(&time.client(url), Subject::Registry).await;
    findings.into_iter().next().unwrap()
}

async fn listing(registry: &TestRegistry, announced: &RegisterRequest) -> Finding {
    let subject = Subject::Listing {
        peer_id: &announced.peer_id,
        announced: Some(announced),
        lease_secs: None,
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
async fn looking_up_the_node_changes_nothing_but_its_lease() {
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
    time.clock.advance(std::time::Duration::from_secs(550));
    let finding = listing(&registry, &announced).await;
    let is_nearly_out = matches!(
        finding,
        Finding::LeaseNearlyOut {
            renewed_ago_ms: 550_000,
            lease_secs: 600,
            ..
        }
    );
    assert!(is_nearly_out, "{finding:?}");
    time.clock.advance(std::time::Duration::from_secs(51));
    assert_eq!(listing(&registry, &announced).await, unknown);
    // One heartbeat for warnings, while the node was well; a lease that is nearly out ends.
    let stats = registry.client.stats().await.unwrap();
    assert_eq!((stats.registrations, stats.heartbeats), (4, 1));
}

#[actix_web::test]
async fn the_length_of_a_lease_comes_from_the_registry() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let announced = RegisterRequest::from(node());
    registry.client.register(&announced).await.unwrap();
    let listing = registry.client.peers(&PeersQuery::default()).await.unwrap();
    let peer = PeerResponse {
        peer: listing.peers[0].clone(),
        timestamp: peer_registry::clock::rfc3339(START_MS + 300_000),
    };
    let peer = serde_json::to_string(&peer).unwrap();
    let mut health = registry.client.health().await.unwrap();
    for (says, given, is_wrong, assumed) in [
        (Some(601), None, false, None),
        (Some(590), None, true, Some(false)),
        (Some(590), Some(700), false, None),
        (None, None, false, None),
        (None, Some(590), true, Some(false)),
    ] {
        health.lease_secs = says;
        let health = serde_json::to_string(&health).unwrap();
        // The third is for the heartbeat, which may fail.
        let failed = ("500 Failed", "<html>");
        proxy.responds_in_turn([("200 OK", &*health), ("200 OK", &*peer), failed]);
        let subject = Subject::Listing {
            peer_id: &announced.peer_id,
            announced: None,
            lease_secs: given,
        };
        let findings = examine(&time.client(&proxy.url), subject).await;
        let last = findings.last().unwrap();
        assert_eq!(last.verdict() == Verdict::Wrong, is_wrong, "{last:?}");
        if let Finding::LeaseNearlyOut { is_assumed, .. } = last {
            assert_eq!(Some(*is_assumed), assumed);
        }
        let seen = proxy.seen();
        let path = format!("GET /peers/{}", announced.peer_id);
        assert!(seen[1].starts_with(&path), "{seen:?}");
    }
}

#[actix_web::test]
async fn a_full_registry_has_other_advice_than_a_throttle() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let announced = RegisterRequest::from(node());
    let health = serde_json::to_string(&registry.client.health().await.unwrap()).unwrap();
    let full = r#"{"code":"registry_full","error":"there is no room"}"#;
    proxy.responds_in_turn([("200 OK", &*health), ("503 Full", full)]);
    let subject = Subject::Registration(&announced);
    let findings = examine(&time.client(&proxy.url), subject).await;
    let last = findings.last().unwrap();
    assert_eq!(last.advice(), Some(ErrorCode::RegistryFull.advice()));
    assert!(last.to_string().contains("registry_full"), "{last}");
}

#[actix_web::test]
async fn what_answers_but_is_not_the_registry_has_its_own_advice() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    proxy.responds("401 Unauthorized\r\nWWW-Authenticate: Basic", "<html>");
    let finding = look(&time, &proxy.url).await;
    let has_password = false;
    assert_eq!(finding, Finding::PasswordWanted { has_password });
    let with_password = proxy.url.replace("http://", "http://me:wrong@");
    let finding = look(&time, &with_password).await;
    assert!(finding.advice().unwrap().contains("check the user"));

    let to = "https://127.0.0.1/health".to_owned();
    let head = format!("301 Moved Permanently\r\nLocation: {to}");
    proxy.responds(&head, "<html>");
    let address = Some("https://127.0.0.1".to_owned());
    assert_eq!(
        look(&time, &proxy.url).await,
        Finding::Redirects { to, address }
    );
}

/// A server that sends its banner to everyone and hangs up.
async fn banner_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        }
    });
    url
}

#[actix_web::test]
async fn a_server_of_another_protocol_is_reported() {
    let finding = look(&Time::start(), &banner_server().await).await;
    assert!(
        matches!(finding, Finding::OtherProtocol { .. }),
        "{finding:?}"
    );
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
        lease_secs: None,
    };
    let health = serde_json::to_string(&registry.client.health().await.unwrap()).unwrap();
    let padding = " ".repeat(20 * 1024 * 1024 + 1);
    let unknown = (
        "404 Not Found",
        r#"{"code":"not_found","error":"no such path"}"#,
    );
    proxy.responds_in_turn([("200 OK", &*health), unknown, ("200 OK", &*padding)]);
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

    announced.peer_id = peer("another-node").peer_id;
    announced
        .addresses
        .push("/ip4/203.0.113.7/tcp/4001".to_owned());
    let finding = register(&announced).await;
    assert!(
        matches!(finding, Finding::AddressRefused { .. }),
        "{finding:?}"
    );
    let finding = register(&peer("-a")).await;
    assert!(
        matches!(finding, Finding::RegistrationRefused { .. }),
        "{finding:?}"
    );
    assert_eq!(finding.verdict(), Verdict::Wrong);
}

#[actix_web::test]
async fn a_second_node_with_the_same_key_is_named() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let one = RegisterRequest::from(node());
    let other = RegisterRequest {
        version: Some("other".to_owned()),
        ..one.clone()
    };
    for announced in [&one, &other, &one] {
        registry.client.register(announced).await.unwrap();
    }
    let findings = examine(&registry.client, Subject::Registration(&other)).await;
    let last = findings.last().unwrap();
    assert!(matches!(last, Finding::Warned { .. }), "{findings:?}");
    assert!(last.advice().unwrap().contains("second node"), "{last}");
    assert_eq!(registry.client.stats().await.unwrap().registrations, 3);
}

#[actix_web::test]
async fn the_doctor_of_a_node_that_proves_nothing_does_not_claim_its_id() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let identity = peer_registry::agent::Identity::generate();
    let announced = RegisterRequest::from(Registration::new(&identity, 4001));
    registry.client.register(&announced).await.unwrap();
    let client = time.client(&registry.url).with_identity(&identity);
    for subject in [
        Subject::Registration(&announced),
        Subject::Listing {
            peer_id: &announced.peer_id,
            announced: None,
            lease_secs: None,
        },
    ] {
        examine(&client, subject).await;
        let renewed = registry.client.heartbeat(&announced.peer_id).await;
        assert!(renewed.is_ok(), "{subject:?}: {renewed:?}");
    }
}
