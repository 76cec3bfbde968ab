//! The client, endpoint by endpoint.

use peer_registry::agent::{ClientError, RegistryClient, SetupError};
use peer_registry::protocol::{
    AllocateTurnRequest, ErrorCode, HealthStatus, PeerFilter, PeersQuery,
    RegisterTurnServerRequest, ReleaseTurnRequest, ReportTurnUsageRequest, SessionUsage, TurnOffer,
};

use crate::helpers::*;

#[actix_web::test]
async fn every_endpoint_has_its_method() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let client = &registry.client;
    let registration = peer("a");

    let answer = client.register(&registration).await.unwrap();
    assert_eq!(
        (answer.total_peers, answer.heartbeat_interval_secs),
        (1, 120)
    );
    let answer = client.heartbeat(&registration.peer_id).await.unwrap();
    assert_eq!(answer.expires_at, START_MS + 600_000);
    let offer = RegisterTurnServerRequest {
        peer_id: registration.peer_id.clone(),
        offer: TurnOffer {
            addresses: vec!["relay.example.org".to_owned()],
            port: 3478,
            capacity: 4,
        },
    };
    assert_eq!(
        client
            .register_turn_server(&offer)
            .await
            .unwrap()
            .turn_servers,
        1
    );
    assert_eq!(
        client.turn_servers().await.unwrap().servers[0].turn_capacity,
        4
    );
    assert_eq!(client.stats().await.unwrap().active_peers, 1);
    let health = client.health().await.unwrap();
    assert_eq!((health.status, health.peers), (HealthStatus::Healthy, 1));
}

#[actix_web::test]
async fn relay_capacity_is_requested_reported_and_released() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let client = &registry.client;
    let (relay, asker) = (peer("relay"), peer("asker"));
    client.register(&relay).await.unwrap();
    client.register(&asker).await.unwrap();
    let mut request = AllocateTurnRequest {
        peer_id: asker.peer_id.clone(),
        estimated_mbps: 2,
        user_tier: None,
        is_premium: None,
        p2p_attempted: true,
        session_id: None,
    };
    let refused = client.allocate_turn(&request).await.unwrap_err();
    assert_eq!(refused.body().unwrap().code, ErrorCode::NoTurnServer);
    assert!(refused.is_retryable() && refused.retry_after().is_some());

    let offer = TurnOffer {
        addresses: vec!["relay.example.org".to_owned()],
        port: 3478,
        capacity: 4,
    };
    let offer = RegisterTurnServerRequest {
        peer_id: relay.peer_id.clone(),
        offer,
    };
    client.register_turn_server(&offer).await.unwrap();
    let granted = client.allocate_turn(&request).await.unwrap();
    assert_eq!(granted.turn_server.peer_id, relay.peer_id);
    assert_eq!(granted.limits.max_bandwidth_mbps, 2);
    let refused = client.allocate_turn(&request).await.unwrap_err();
    assert_eq!(refused.body().unwrap().code, ErrorCode::SessionLimit);
    request.session_id = Some(granted.session_id.clone());
    let renewed = client.allocate_turn(&request).await.unwrap();
    assert_eq!(renewed.session_id, granted.session_id);

    time.clock.advance(std::time::Duration::from_secs(60));
    let report = ReportTurnUsageRequest {
        peer_id: relay.peer_id,
        sessions: vec![SessionUsage {
            session_id: granted.session_id.clone(),
            bytes_transferred: 77,
        }],
    };
    assert_eq!(client.report_turn_usage(&report).await.unwrap().accepted, 1);
    assert_eq!(client.cost_stats().await.unwrap().session_stats.total, 1);
    let release = ReleaseTurnRequest {
        peer_id: asker.peer_id,
        session_id: granted.session_id,
        bytes_transferred: None,
    };
    let released = client.release_turn(&release).await.unwrap();
    assert_eq!(released.bytes_transferred, 77);
    assert_eq!(client.cost_stats().await.unwrap().session_stats.total, 0);
}

#[actix_web::test]
async fn peers_are_filtered_sampled_and_paged() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a", "b", "c"]).await;
    let mut special = peer("d");
    special.stores = vec!["store/1?&".to_owned()];
    special.version = Some("2.0".to_owned());
    registry.client.register(&special).await.unwrap();

    let total = async |query: PeersQuery| registry.client.peers(&query).await.unwrap().total;
    assert_eq!(total(PeersQuery::default()).await, 4);
    let store = PeersQuery {
        filter: PeerFilter {
            store: Some("store/1?&".to_owned()),
            ..PeerFilter::default()
        },
        include_stores: true,
        ..PeersQuery::default()
    };
    let listing = registry.client.peers(&store).await.unwrap();
    assert_eq!(
        listing.peers[0].stores.as_deref(),
        Some(&special.stores[..])
    );
    let version = PeersQuery::from(PeerFilter {
        version: Some("2.0".to_owned()),
        ..PeerFilter::default()
    });
    assert_eq!(total(version).await, 1);
    let others = PeersQuery {
        filter: PeerFilter {
            exclude: Some(special.peer_id.clone()),
            ..PeerFilter::default()
        },
        ..PeersQuery::sample(2)
    };
    let listing = registry.client.peers(&others).await.unwrap();
    assert_eq!((listing.total, listing.returned), (3, 2));
}

#[actix_web::test]
async fn an_unknown_peer_differs_from_other_errors() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let error = registry
        .client
        .heartbeat(&peer("a").peer_id)
        .await
        .unwrap_err();
    assert!(
        error.is_peer_not_found() && !error.is_retryable(),
        "{error}"
    );
    assert_eq!((error.status(), error.retry_after()), (Some(404), None));
    assert!(
        error
            .body()
            .unwrap()
            .suggestion
            .as_deref()
            .unwrap()
            .contains("/register")
    );
    assert!(
        error
            .to_string()
            .contains("/heartbeat refused with 404 peer_not_found"),
        "{error}"
    );

    let error = registry.client.register(&peer("-a")).await.unwrap_err();
    assert_eq!(error.body().unwrap().code, ErrorCode::InvalidField);
    assert!(
        !error.is_peer_not_found() && !error.is_retryable(),
        "{error}"
    );
}

#[actix_web::test]
async fn the_error_of_an_unreachable_registry_is_retryable_and_names_it() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.stop().await;
    let error = registry.client.stats().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(
        error.is_retryable() && error.to_string().contains("/stats"),
        "{error}"
    );
}

#[actix_web::test]
async fn the_error_of_a_stranger_is_not_shown_raw() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let body = "{\"code\":\"throttled\",\"error\":\"a\\u001b[2Jb\"}";
    proxy.responds("429 No\r\nRetry-After: 3", body);
    let error = time.client(&proxy.url).stats().await.unwrap_err();
    assert!(error.is_throttled() && error.is_retryable(), "{error}");
    assert_eq!(error.retry_after().unwrap().as_secs(), 3);
    assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
}

#[actix_web::test]
async fn no_peer_is_seen_after_the_listing_that_names_it() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    registry.register_others(&["a"]).await;
    let query = PeersQuery::default();
    let mut listing = registry.client.peers(&query).await.unwrap();
    listing.peers[0].last_seen = i64::MAX;
    proxy.responds("200 OK", &serde_json::to_string(&listing).unwrap());
    let listing = time.client(&proxy.url).peers(&query).await.unwrap();
    assert_eq!(listing.peers[0].last_seen, START_MS);
}

#[actix_web::test]
async fn a_page_as_long_as_the_protocol_allows_is_read() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let mut query = PeersQuery::default();
    let listing = registry.client.peers(&query).await.unwrap();
    let mut page_of = async |bytes: usize, include_stores| {
        query.include_stores = include_stores;
        let json = serde_json::to_string(&listing).unwrap();
        proxy.responds("200 OK", &format!("{json}{}", " ".repeat(bytes)));
        time.client(&proxy.url).peers(&query).await
    };
    assert!(page_of(18_000_000, false).await.is_ok());
    assert!(page_of(24_000_000, true).await.is_ok());
    let error = page_of(24_000_000, false).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error}");
}

#[actix_web::test]
async fn a_health_response_that_says_no_is_not_an_error() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let mut health = registry.client.health().await.unwrap();
    health.status = HealthStatus::Draining;
    proxy.responds("503 Draining", &serde_json::to_string(&health).unwrap());
    assert_eq!(time.client(&proxy.url).health().await.unwrap(), health);
}

#[actix_web::test]
async fn a_user_and_a_password_in_the_address_are_sent_and_never_shown() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let url = proxy.url.replace("http://", "http://me:s%40cret@");
    let client = time.client(&url);
    client.register(&peer("a")).await.unwrap();
    // me:s@cret
    let header = "authorization: Basic bWU6c0BjcmV0\r\n";
    let request = proxy.last_request();
    assert!(request.contains(header), "{request}");
    client.health().await.unwrap();
    assert!(proxy.last_request().contains(header));
    assert_eq!(client.url(), proxy.url);

    proxy.responds("401 Unauthorized", "<html>");
    let error = client.heartbeat(&peer("a").peer_id).await.unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("cret"), "{shown}");
}

#[actix_web::test]
async fn a_registry_that_sends_more_than_asked_for_does_not_flood_the_node() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    registry.register_others(&["a"]).await;
    let query = PeersQuery::sample(50);
    let mut listing = registry.client.peers(&query).await.unwrap();
    listing.peers = (0..5_000)
        .map(|index| {
            let mut peer = listing.peers[0].clone();
            peer.peer_id = super::helpers::peer(&format!("p{index}")).peer_id;
            peer
        })
        .collect();
    proxy.responds("200 OK", &serde_json::to_string(&listing).unwrap());
    let listing = time.client(&proxy.url).peers(&query).await.unwrap();
    assert_eq!((listing.peers.len(), listing.returned), (50, 50));
    let agent = time.agent(node(), &proxy.url).peer_sample(7);
    assert_eq!(agent.start().unwrap().peers().await.peers.len(), 7);
}

#[actix_web::test]
async fn one_peer_is_read_by_its_id_and_no_other_is_taken_for_it() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    registry.register_others(&["a"]).await;
    let listing = registry.client.peers(&PeersQuery::default()).await.unwrap();
    let body = serde_json::json!({ "peer": listing.peers[0], "timestamp": listing.timestamp });
    proxy.responds("200 OK", &body.to_string());
    let client = time.client(&proxy.url);
    let response = client.peer(&peer("a").peer_id).await.unwrap();
    assert_eq!(response.peer, listing.peers[0]);
    assert_eq!(proxy.seen(), ["GET /peers/a"]);
    let agent = time.agent(node(), &proxy.url).start().unwrap();
    assert!(agent.peer(&peer("a").peer_id).await.is_some());
    assert_eq!(agent.peer(&peer("b").peer_id).await, None);
    let error = client.peer(&peer("b").peer_id).await.unwrap_err();
    assert!(matches!(error, ClientError::NotARegistry { .. }), "{error}");
}

#[test]
fn a_wrong_address_is_refused_with_what_is_wrong() {
    let time = Time::start();
    for (url, part) in [
        ("http://::1:3102", "brackets"),
        ("http://[fe80::1%25eth0]:3000", "with a zone, like %eth0"),
        (
            "http://me:pw@[fe80::1%eth0]:3000",
            "with a zone, like %eth0",
        ),
        ("127.0.0.1:3000", "http://"),
        ("registry.example.org", "https://"),
        ("http://r.org/?a", "must not have a ?"),
        ("ftp://r.org", "like https://"),
    ] {
        let error = RegistryClient::new(url, time.transport.clone())
            .err()
            .unwrap();
        assert!(error.to_string().contains(part), "{url}: {error}");
    }
    assert!(RegistryClient::new("http://[::1]:3102", time.transport).is_ok());
}

#[test]
fn a_file_without_a_certificate_is_an_error() {
    let transport = Time::start().transport;
    for pem in [
        &b""[..],
        b"certificate",
        b"-----BEGIN CERTIFICATE-----\n!\n",
    ] {
        let error = transport.clone().with_root_certificate(pem).err();
        assert!(
            matches!(error, Some(SetupError::Certificate { .. })),
            "{error:?}"
        );
    }
}

#[actix_web::test]
async fn the_http_client_of_the_caller_is_used() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let http = peer_registry::agent::reqwest::Client::builder().user_agent("a node");
    let transport = time.transport.clone().with_client(http.build().unwrap());
    let client = RegistryClient::new(&proxy.url, transport).unwrap();
    client.health().await.unwrap();
    assert!(proxy.last_request().contains("user-agent: a node\r\n"));
}

#[test]
fn the_address_of_a_registry_is_checked_and_its_password_never_shown() {
    let time = Time::start();
    let client = |url: &str| RegistryClient::new(url, time.transport.clone());
    for url in [
        "",
        "registry.example.org",
        "ftp://r.org",
        "http://r.org/?a",
        "http://r.org/#a",
    ] {
        assert!(
            matches!(client(url), Err(SetupError::InvalidUrl { .. })),
            "{url}"
        );
    }
    let named = client("https://user:secret@r.org/base/").unwrap();
    assert_eq!(named.url(), "https://r.org/base");
    let error = peer_registry::agent::Agent::builder(node())
        .transport(time.transport.clone())
        .start();
    assert!(matches!(error.err(), Some(SetupError::NoRegistry)));
}
