//! What makes a node look for peers again, or sooner.

use crate::fallback::{Connections, looks};
use crate::helpers::*;

#[actix_web::test]
async fn a_node_that_loses_its_connections_after_it_had_enough_looks_for_peers_again() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let connections = Connections::of(0);
    let agent = connections.given_to(time.agent(node(), &registry.url));
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    time.pass(15, 2).await;
    let started = ["registered", "fallback_started", "peers_found"];
    assert_eq!(names(&mut events).await, started);

    connections.are_now(3);
    time.pass(7_200, 2).await;
    let mut later = names(&mut events).await;
    later.retain(|name| name != "renewed");
    assert_eq!(later, ["fallback_ended"]);

    connections.are_now(0);
    time.pass(11, 2).await;
    time.wait_until_idle(2).await;
    let mut later = names(&mut events).await;
    later.retain(|name| name != "renewed");
    assert_eq!(later, ["fallback_started", "peers_found"]);
}

#[actix_web::test]
async fn the_loss_of_the_last_connection_does_not_wait_for_a_long_pause() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let proxy = Proxy::start(registry.addr()).await;
    let connections = Connections::of(2);
    let agent = connections.given_to(time.agent(node(), &proxy.url));
    let agent = agent.start().unwrap();
    // The next search comes about ten minutes after one at 1,100 to 1,400 s.
    time.pass(1_050, 2).await;
    looks(&proxy);
    while looks(&proxy) == 0 {
        time.pass(5, 2).await;
    }
    connections.are_now(0);
    time.pass(11, 2).await;
    time.wait_until_idle(2).await;
    assert_eq!(looks(&proxy), 1);
    agent.stop().await;
}

#[actix_web::test]
async fn a_registration_wakes_the_search() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    registry.stop().await;
    let agent = Connections::of(1).given_to(time.agent(node(), &registry.url));
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    // The pauses of the search are ten minutes now.
    time.pass(3_600, 2).await;
    registry.resume().await;
    names(&mut events).await;
    while !agent.is_registered() {
        time.step(2).await;
    }
    let registered_ms = time.now_ms();
    while !names(&mut events).await.contains(&"peers_found".to_owned()) {
        time.step(2).await;
    }
    let waited_ms = time.now_ms() - registered_ms;
    assert!(waited_ms <= 10_000, "{waited_ms}");
}

#[actix_web::test]
async fn a_network_change_wakes_the_search_and_the_registration() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    registry.stop().await;
    let agent = Connections::of(1).given_to(time.agent(node(), &registry.url));
    let agent = agent.start().unwrap();
    time.pass(3_600, 2).await;
    registry.resume().await;
    let mut events = agent.events();
    time.wait_until_idle(2).await;
    names(&mut events).await;
    agent.network_changed();
    let is_done = |names: &[String]| {
        let has = |name: &str| names.iter().any(|found| found == name);
        has("registered") && has("peers_found")
    };
    let mut found = Vec::new();
    while !is_done(&found) {
        tokio::task::yield_now().await;
        found.extend(names(&mut events).await);
    }
}
