//! Agents that prove their keys, and strangers that cannot.

use peer_registry::agent::{Agent, Event, Identity, ProofNotice, Registration, SetupError};
use peer_registry::protocol::authentication::PublicHosts;
use peer_registry::protocol::{ErrorCode, RegisterRequest};
use peer_registry::server::config::{AuthenticationPolicy, Config};

use crate::helpers::*;

/// A registry that knows itself by its address, whatever the port is, so that a proxy can be before it.
async fn registry_with(time: &Time, policy: AuthenticationPolicy) -> TestRegistry {
    let change = |config: &mut Config| {
        config.registry.authentication = policy;
        config.authentication.public_hosts = Some(PublicHosts::parse(["127.0.0.1"]).unwrap());
    };
    TestRegistry::start_with(time, change).await
}

fn agent(time: &Time, identity: &Identity, url: &str) -> Agent {
    let agent = time.agent(Registration::new(identity, 4001), url);
    agent.identity(identity).start().unwrap()
}

fn registration(identity: &Identity) -> RegisterRequest {
    Registration::new(identity, 4001).into()
}

#[actix_web::test]
async fn an_id_that_an_agent_has_proven_is_refused_to_a_stranger() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    let agent = agent(&time, &identity, &registry.url);
    let mut events = agent.events();
    time.step(1).await;
    assert_eq!(names(&mut events).await, ["registered", "renewed"]);
    let listed = registry.client.peer(identity.peer_id()).await.unwrap();
    assert!(listed.peer.authenticated);

    let other = Identity::generate();
    let strangers = [
        (registry.client.clone(), ErrorCode::AuthenticationRequired),
        (
            time.client(&registry.url).with_identity(&other),
            ErrorCode::IdentityMismatch,
        ),
    ];
    for (stranger, code) in strangers {
        let errors = [
            stranger
                .register(&registration(&identity))
                .await
                .unwrap_err(),
            stranger.heartbeat(identity.peer_id()).await.unwrap_err(),
            stranger.unregister(identity.peer_id()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.body().unwrap().code, code, "{error}");
            assert!(!error.is_retryable(), "{error}");
        }
    }
    assert!(registry.lists(identity.peer_id()).await);
}

#[actix_web::test]
async fn an_agent_without_the_key_of_a_claimed_id_says_that_it_is_refused() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    let owner = time.client(&registry.url).with_identity(&identity);
    owner.register(&registration(&identity)).await.unwrap();

    let by_id = Identity::from_peer_id(identity.peer_id().as_str()).unwrap();
    let agent = agent(&time, &by_id, &registry.url);
    time.wait_until_idle(1).await;
    let events = present(&mut agent.events()).await;
    let [Event::Refused { code, .. }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(*code, ErrorCode::AuthenticationRequired);
}

#[actix_web::test]
async fn one_handshake_is_enough_for_a_day_and_a_restart_of_the_registry() {
    let time = Time::start();
    let mut registry = registry_with(&time, AuthenticationPolicy::Claim).await;
    let proxy = Proxy::start(registry.addr()).await;
    let identity = Identity::generate();
    let agent = agent(&time, &identity, &proxy.url);
    let mut events = agent.events();
    time.wait_until_idle(1).await;
    let first = ["POST /auth", "POST /auth", "POST /register"];
    assert_eq!(proxy.seen(), first, "the long body is sent once");

    time.step(1).await;
    registry.stop().await;
    registry.resume().await;
    time.step(1).await;
    assert_eq!(proxy.seen(), ["POST /heartbeat", "POST /heartbeat"]);
    assert_eq!(
        names(&mut events).await,
        ["registered", "renewed", "renewed"]
    );

    time.pass(24 * 3_600, 1).await;
    let later = proxy.seen();
    let handshakes = later.iter().filter(|target| *target == "POST /auth");
    assert_eq!(handshakes.count(), 2, "the token of the first day is over");
    assert!(agent.is_registered());
    let stats = registry.client.stats().await.unwrap();
    assert_eq!(stats.registrations, 0, "none since the restart: {stats:?}");
}

#[actix_web::test]
async fn lost_keys_of_the_registry_are_reported_and_the_node_stays_registered() {
    let time = Time::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let mut registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    let start = || {
        let agent = time.agent(Registration::new(&identity, 4001), &registry.url);
        agent.identity(&identity).last_known_good(&path).start()
    };
    let first = start().unwrap();
    let mut events = first.events();
    time.wait_until_idle(2).await;
    registry.stop().await;
    registry.lose_keys();
    registry.resume().await;
    time.step(2).await;
    time.step(2).await;
    let reported = names(&mut events).await;
    assert_eq!(
        reported
            .iter()
            .filter(|name| *name == "registry_key_changed")
            .count(),
        1,
        "{reported:?}"
    );
    assert!(!reported.contains(&"lost".to_owned()), "{reported:?}");
    first.stop().await;

    // The file has the new key by now. Another loss is noticed by the next agent.
    registry.stop().await;
    registry.lose_keys();
    registry.resume().await;
    let start = || {
        let agent = time.agent(Registration::new(&identity, 4001), &registry.url);
        agent.identity(&identity).last_known_good(&path).start()
    };
    let second = start().unwrap();
    time.wait_until_idle(2).await;
    let reported = names(&mut second.events()).await;
    assert_eq!(reported, ["registry_key_changed", "registered"]);
}

#[actix_web::test]
async fn a_registry_that_verifies_no_keys_gets_the_same_requests_as_before() {
    let time = Time::start();
    let registry = registry_with(&time, AuthenticationPolicy::Off).await;
    let proxy = Proxy::start(registry.addr()).await;
    let agent = agent(&time, &Identity::generate(), &proxy.url);
    let mut events = agent.events();
    time.step(1).await;
    assert_eq!(
        proxy.seen(),
        ["POST /auth", "POST /register", "POST /heartbeat"]
    );
    assert_eq!(names(&mut events).await, ["registered", "renewed"]);
    time.pass(2 * 3_600, 1).await;
    let asked = proxy.seen();
    let asked = asked.iter().filter(|target| *target == "POST /auth");
    assert!((1..=2).contains(&asked.count()), "once an hour");
}

#[actix_web::test]
async fn a_plain_404_of_an_older_registry_is_no_proof_and_no_error() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let identity = Identity::generate();
    let accepted = registry.client.register(&registration(&identity)).await;
    let accepted = serde_json::to_string(&accepted.unwrap()).unwrap();
    proxy.responds_in_turn([
        ("404 Not Found", "Cannot POST /auth"),
        ("200 OK", &accepted),
        ("200 OK", &accepted),
    ]);
    let client = time.client(&proxy.url).with_identity(&identity);
    for _ in 0..2 {
        client.register(&registration(&identity)).await.unwrap();
    }
    let expected = ["POST /auth", "POST /register", "POST /register"];
    assert_eq!(proxy.seen(), expected);
    assert_eq!(client.take_notices(), []);
    assert_eq!(client.registry_key(), None);
}

#[actix_web::test]
async fn a_registry_that_learns_of_proofs_meanwhile_gets_one_when_it_asks() {
    let time = Time::start();
    let registry = registry_with(&time, AuthenticationPolicy::Required).await;
    let proxy = Proxy::start(registry.addr()).await;
    let identity = Identity::generate();
    proxy.responds("404 Not Found", "");
    let client = time.client(&proxy.url).with_identity(&identity);
    client.register(&registration(&identity)).await.unwrap_err();
    proxy.seen();

    proxy.does(Conduct::Forward);
    client.register(&registration(&identity)).await.unwrap();
    let expected = [
        "POST /register",
        "POST /auth",
        "POST /auth",
        "POST /register",
    ];
    assert_eq!(proxy.seen(), expected);
}

#[actix_web::test]
async fn a_registry_that_requires_proofs_takes_a_node_with_a_key_only() {
    let time = Time::start();
    let registry = registry_with(&time, AuthenticationPolicy::Required).await;
    let identity = Identity::generate();
    let with_key = agent(&time, &identity, &registry.url);
    time.wait_until_idle(1).await;
    assert!(with_key.is_registered());
    let without = time.agent(node(), &registry.url).start().unwrap();
    time.wait_until_idle(2).await;
    assert_eq!(names(&mut without.events()).await, ["refused"]);
}

#[actix_web::test]
async fn a_name_that_the_registry_does_not_know_is_reported_once_and_the_node_is_registered() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    // Its port is not the one that the registry listens on.
    let proxy = Proxy::start(registry.addr()).await;
    let agent = agent(&time, &Identity::generate(), &proxy.url);
    let mut events = agent.events();
    time.pass(2 * 3_600, 1).await;
    let events = present(&mut events).await;
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::NotProven { reason, .. } => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 1, "{events:?}");
    assert!(reasons[0].contains("PUBLIC_HOSTS"), "{reasons:?}");
    assert!(agent.is_registered());
}

#[actix_web::test]
async fn a_proof_does_not_depend_on_the_clock_of_the_node() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    for years in [-20, 20] {
        let wrong = Time::start();
        wrong.clock.set(START_MS + years * 365 * 24 * 3_600 * 1_000);
        let client = wrong.client(&registry.url).with_identity(&identity);
        client.register(&registration(&identity)).await.unwrap();
        assert!(client.registry_key().is_some(), "{years}");
        assert_eq!(client.take_notices(), []);
    }
}

#[actix_web::test]
async fn a_registry_that_is_down_gets_one_request_and_a_page_of_a_proxy_is_not_taken_for_an_answer()
{
    let time = Time::start();
    let registry = registry_with(&time, AuthenticationPolicy::Claim).await;
    let proxy = Proxy::start(registry.addr()).await;
    let identity = Identity::generate();
    let client = time.client(&proxy.url).with_identity(&identity);
    let overloaded = r#"{"error":"too much work","code":"overloaded"}"#;
    proxy.responds("503 Service Unavailable\r\nRetry-After: 7", overloaded);
    let error = client.register(&registration(&identity)).await.unwrap_err();
    assert_eq!(error.retry_after().unwrap().as_secs(), 7);
    assert_eq!(proxy.seen(), ["POST /auth"]);

    proxy.responds("200 OK", "<html>Welcome</html>");
    let error = client.register(&registration(&identity)).await.unwrap_err();
    assert!(error.to_string().contains("/register"), "{error}");
    proxy.does(Conduct::Forward);
    client.register(&registration(&identity)).await.unwrap();
    assert!(
        client.registry_key().is_some(),
        "the page is no reason to wait"
    );
}

#[actix_web::test]
async fn an_address_with_a_password_keeps_it_and_says_that_nothing_is_proven() {
    let time = Time::start();
    let registry = registry_with(&time, AuthenticationPolicy::Claim).await;
    let proxy = Proxy::start(registry.addr()).await;
    let url = proxy.url.replace("http://", "http://me:secret@");
    let identity = Identity::generate();
    let client = time.client(&url).with_identity(&identity);
    client.register(&registration(&identity)).await.unwrap();
    let request = proxy.last_request().to_ascii_lowercase();
    assert!(request.contains("authorization: basic"), "{request}");
    assert_eq!(client.take_notices(), [ProofNotice::PasswordInstead]);
    client.heartbeat(identity.peer_id()).await.unwrap();
    assert_eq!(client.take_notices(), []);
}

#[actix_web::test]
async fn a_node_that_unregisters_is_gone_at_once_and_does_not_come_back() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let identity = Identity::generate();
    let agent = agent(&time, &identity, &registry.url);
    time.wait_until_idle(1).await;
    assert!(registry.lists(identity.peer_id()).await);
    let failures = agent.unregister().await;
    assert!(failures.is_empty(), "{failures:?}");
    time.wait_until_idle(0).await;
    assert!(!registry.lists(identity.peer_id()).await);
    assert!(agent.unregister().await.is_empty(), "it is gone already");

    let without_key = time.agent(node(), &registry.url).start().unwrap();
    time.wait_until_idle(1).await;
    let failures = without_key.unregister().await;
    assert!(failures[0].is_proof_refused(), "{failures:?}");
}

#[actix_web::test]
async fn a_registration_of_another_key_is_refused_at_the_start() {
    let time = Time::start();
    let (identity, other) = (Identity::generate(), Identity::generate());
    let agent = time.agent(Registration::new(&identity, 4001), "http://127.0.0.1:9");
    let error = agent.identity(&other).start().err();
    assert!(
        matches!(error, Some(SetupError::OtherIdentity { .. })),
        "{error:?}"
    );
}

#[actix_web::test]
async fn a_server_that_cannot_prove_its_key_gets_no_proof_and_the_node_is_registered() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let identity = Identity::generate();
    let accepted = registry.client.register(&registration(&identity)).await;
    let accepted = serde_json::to_string(&accepted.unwrap()).unwrap();
    let challenge = "401 Unauthorized\r\nWWW-Authenticate: libp2p-PeerID public-key=\"AAAA\"";
    proxy.responds_in_turn([(challenge, ""), ("200 OK", &accepted)]);
    let client = time.client(&proxy.url).with_identity(&identity);
    client.register(&registration(&identity)).await.unwrap();
    assert_eq!(proxy.seen(), ["POST /auth", "POST /register"]);
    assert!(!proxy.last_request().contains("libp2p-PeerID"));
    let notices = client.take_notices();
    assert!(
        matches!(notices[..], [ProofNotice::Failed { .. }]),
        "{notices:?}"
    );
    assert_eq!(client.registry_key(), None);
}
