//! Nodes that have too few connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use peer_registry::agent::{AgentBuilder, Event, PeerList, PeerSource};
use peer_registry::protocol::RegisterRequest;

use crate::helpers::*;

/// The number of connections of a node, which a test can change while it runs.
#[derive(Clone, Default)]
pub struct Connections {
    count: Arc<AtomicUsize>,
}

impl Connections {
    pub fn of(count: usize) -> Self {
        let connections = Self::default();
        connections.are_now(count);
        connections
    }

    pub fn are_now(&self, count: usize) {
        self.count.store(count, Ordering::SeqCst);
    }

    pub fn given_to(&self, agent: AgentBuilder) -> AgentBuilder {
        let shared = self.clone();
        agent.connected_peers(move || shared.count.load(Ordering::SeqCst))
    }
}

fn found(events: &[Event]) -> Vec<&PeerList> {
    let lists = events.iter().filter_map(|event| match event {
        Event::PeersFound { list } => Some(list),
        _ => None,
    });
    lists.collect()
}

fn ids(list: &PeerList) -> Vec<&str> {
    let mut ids: Vec<_> = list
        .peers
        .iter()
        .map(|peer| peer.peer_id.as_str())
        .collect();
    ids.sort_unstable();
    ids
}

#[actix_web::test]
async fn with_two_connections_peers_are_requested_after_ten_seconds_and_not_before() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a", "b"]).await;
    let agent = Connections::of(2).given_to(time.agent(node(), &registry.url));
    let agent = agent.start().unwrap();
    let mut events = agent.events();

    time.wait_until_idle(2).await;
    time.clock.set(START_MS + 9_999);
    time.wait_until_idle(2).await;
    assert_eq!(names(&mut events).await, ["registered"]);

    time.clock.set(START_MS + 10_000);
    time.wait_until_idle(2).await;
    let events = present(&mut events).await;
    assert_eq!(events[0], Event::FallbackStarted { connected_peers: 2 });
    let list = found(&events)[0];
    assert_eq!(ids(list), ["a", "b"], "all but the node itself");
    assert_eq!(list.source, PeerSource::Registries);
}

#[actix_web::test]
async fn with_three_connections_no_peers_are_requested() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    let agent = Connections::of(3).given_to(time.agent(node(), &proxy.url));
    let _agent = agent.start().unwrap();
    time.wait_until_idle(2).await;
    time.clock.set(START_MS + 10_000);
    time.pass(3_600, 2).await;
    assert!(proxy.seen().iter().all(|target| target.starts_with("POST")));
}

#[actix_web::test]
async fn both_numbers_are_settings() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = Connections::of(7).given_to(time.agent(node(), &registry.url));
    let agent = agent
        .fallback_after(std::time::Duration::from_secs(2))
        .enough_peers(8)
        .start()
        .unwrap();
    let mut events = agent.events();
    time.pass(2, 2).await;
    time.wait_until_idle(2).await;
    let started = ["registered", "fallback_started", "nobody_found"];
    assert_eq!(names(&mut events).await, started);
}

/// The number of requests for peers since the last call.
pub fn looks(proxy: &Proxy) -> usize {
    let seen = proxy.seen();
    let looks = seen
        .iter()
        .filter(|target| target.starts_with("GET /peers?"));
    looks.count()
}

#[actix_web::test]
async fn the_pauses_grow_to_ten_minutes_while_the_node_has_some_connections() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let proxy = Proxy::start(registry.addr()).await;
    let agent = Connections::of(1).given_to(time.agent(node(), &proxy.url));
    let agent = agent.start().unwrap();
    // At 10 s, and then after pauses of about 10, 20, 40, 80 and 160 s.
    time.pass(355, 2).await;
    let count = looks(&proxy);
    assert_eq!(count, 6);
    // And then every ten minutes.
    time.pass(3_600, 2).await;
    let count = looks(&proxy);
    assert!((5..=7).contains(&count), "{count}");
    agent.stop().await;
}

#[actix_web::test]
async fn without_a_connection_the_pauses_stay_under_a_minute() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let proxy = Proxy::start(registry.addr()).await;
    let agent = Connections::of(0).given_to(time.agent(node(), &proxy.url));
    let agent = agent.start().unwrap();
    time.pass(600, 2).await;
    looks(&proxy);
    for _ in 0..60 {
        time.pass(60, 2).await;
        let count = looks(&proxy);
        assert!((1..=2).contains(&count), "{count} in a minute");
    }
    agent.stop().await;
}

#[actix_web::test]
async fn peers_that_the_node_is_connected_to_are_not_handed_out_again() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a", "b", "c"]).await;
    let agent = time.agent(node(), &registry.url);
    let agent = agent.connections(|| ["a", "c"].map(|id| peer(id).peer_id).into_iter().collect());
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    time.pass(11, 2).await;
    time.wait_until_idle(2).await;
    let events = present(&mut events).await;
    assert_eq!(events[1], Event::FallbackStarted { connected_peers: 2 });
    assert_eq!(ids(found(&events)[0]), ["b"]);
    assert_eq!(ids(&agent.peers().await), ["b"]);
}

#[actix_web::test]
async fn after_an_empty_list_the_search_goes_on_and_says_that_it_found_nobody() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = Connections::of(0).given_to(time.agent(node(), &registry.url));
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    time.pass(15, 2).await;
    let nobody = ["registered", "fallback_started", "nobody_found"];
    assert_eq!(names(&mut events).await, nobody);
    time.pass(45, 2).await;
    assert!(names(&mut events).await.is_empty(), "it is said once");

    registry.register_others(&["a"]).await;
    time.pass(50, 2).await;
    let mut later = names(&mut events).await;
    // The first heartbeat is due in these seconds.
    later.retain(|name| name != "renewed");
    assert_eq!(later, ["peers_found"]);
}

#[actix_web::test]
async fn only_peers_of_the_nodes_own_network_are_requested() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["elsewhere"]).await;
    let mut here = peer("here");
    here.network_id = Some("testnet".to_owned());
    registry.client.register(&here).await.unwrap();
    let agent = time.agent(node().network_id("testnet"), &registry.url);
    let agent = agent.start().unwrap();
    assert_eq!(ids(&agent.peers().await), ["here"]);
}

#[actix_web::test]
async fn neither_an_empty_list_nor_a_registry_that_is_down_empties_the_result() {
    let time = Time::start();
    let full = TestRegistry::start(&time).await;
    let empty = TestRegistry::start(&time).await;
    let mut down = TestRegistry::start(&time).await;
    down.stop().await;
    full.register_others(&["a", "b"]).await;
    let urls = [empty.url.clone(), down.url.clone()];
    let agent = time.agent(node(), &full.url).registries(urls);
    let agent = agent.start().unwrap();
    let list = agent.peers().await;
    assert_eq!((ids(&list), list.failures.len()), (vec!["a", "b"], 1));

    // When no registry names a peer any more, the last good list counts.
    time.wait_until_idle(3).await;
    full.forget_all().await;
    // The registry notices it at the next request.
    let unknown = full.client.heartbeat(&peer("a").peer_id).await;
    assert!(unknown.unwrap_err().is_peer_not_found());
    time.clock.advance(std::time::Duration::from_secs(60));
    let list = agent.peers().await;
    assert_eq!(ids(&list), ["a", "b"]);
    let PeerSource::LastKnownGood { saved_at_ms, .. } = list.source else {
        panic!("{list:?}");
    };
    assert_eq!(saved_at_ms, START_MS);
}

#[actix_web::test]
async fn a_node_that_starts_while_every_registry_is_down_has_the_last_good_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.register_others(&["a", "b"]).await;
    let agent = time.agent(node(), &registry.url).last_known_good(&path);
    let agent = agent.start().unwrap();
    time.wait_until_idle(2).await;
    assert_eq!(agent.peers().await.peers.len(), 2);
    agent.stop().await;

    registry.stop().await;
    time.clock.advance(std::time::Duration::from_secs(7_200));
    let agent = time.agent(node(), &registry.url).last_known_good(&path);
    let agent = Connections::of(0).given_to(agent).start().unwrap();
    let mut events = agent.events();
    time.pass(11, 2).await;
    let events = present(&mut events).await;
    let list = found(&events)[0];
    assert_eq!((ids(list), list.failures.len()), (vec!["a", "b"], 1));
    let PeerSource::LastKnownGood {
        saved_at_ms,
        age_ms,
    } = list.source
    else {
        panic!("{list:?}");
    };
    assert_eq!((saved_at_ms, age_ms), (START_MS, 7_210_000));
}

#[actix_web::test]
async fn the_last_good_list_counts_in_its_own_network_only_and_never_names_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.json");
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    for id in ["a", "b"] {
        let mut here = peer(id);
        here.network_id = Some("testnet".to_owned());
        registry.client.register(&here).await.unwrap();
    }
    let start = |mut node: RegisterRequest, network: &str| {
        node.network_id = Some(network.to_owned());
        let agent = time.agent(node, &registry.url).last_known_good(&path);
        agent.start().unwrap()
    };
    let agent = start(peer("c"), "testnet");
    assert_eq!(ids(&agent.peers().await), ["a", "b"]);
    agent.stop().await;
    let (elsewhere, itself) = (start(peer("c"), "mainnet"), start(peer("a"), "testnet"));
    registry.stop().await;
    assert!(elsewhere.peers().await.peers.is_empty());
    assert_eq!(ids(&itself.peers().await), ["b"]);
}

#[actix_web::test]
async fn without_any_list_the_result_is_empty_and_says_why() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.stop().await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    let list = agent.peers().await;
    assert!(list.peers.is_empty());
    assert!(
        list.failures[0].contains("cannot reach"),
        "{:?}",
        list.failures
    );
}

#[actix_web::test]
async fn a_registry_that_asks_the_node_to_wait_gets_no_request_for_peers() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let proxy = Proxy::start(registry.addr()).await;
    let agent = time.agent(node(), &proxy.url).start().unwrap();
    time.wait_until_idle(1).await;
    proxy.responds("503 Busy\r\nRetry-After: 60", "");
    assert!(agent.peers().await.failures[0].contains("503"));

    proxy.does(Conduct::Forward);
    proxy.seen();
    time.clock.advance(std::time::Duration::from_secs(59));
    assert!(agent.peers().await.failures[0].contains("to wait"));
    assert!(proxy.seen().is_empty());
    time.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ids(&agent.peers().await), ["a"]);
}
