//! A node that lives for a while with a registry that works.

use peer_registry::agent::{Agent, Event, Step};
use peer_registry::protocol::{PeerFilter, PeersQuery, RegisterRequest};

use crate::helpers::*;

#[actix_web::test]
async fn a_day_passes_with_some_720_heartbeats_and_the_node_is_never_off_the_list() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &registry.url).start().unwrap();

    time.wait_until_idle(1).await;
    let end_ms = START_MS + 24 * 3_600 * 1_000;
    while time.now_ms() < end_ms {
        time.step(1).await;
        assert!(registry.lists(&id_of(&node)).await);
        assert!(agent.is_registered());
    }
    let stats = registry.client.stats().await.unwrap();
    assert_eq!((stats.registrations, stats.heartbeats_refused), (1, 0));
    assert!(
        (710..=730).contains(&stats.heartbeats),
        "{}",
        stats.heartbeats
    );
    assert_eq!(stats.peers_cleaned, 0);
}

#[actix_web::test]
async fn the_first_reader_gets_all_events_even_if_it_is_late() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    time.step(1).await;

    let first = present(&mut agent.events()).await;
    let Event::Registered {
        registry: url,
        lease_until_ms,
        heartbeat_interval_ms,
    } = &first[0]
    else {
        panic!("{first:?}");
    };
    assert_eq!(url, &registry.url);
    assert_eq!(
        (*lease_until_ms, *heartbeat_interval_ms),
        (START_MS + 600_000, 120_000)
    );
    assert!(matches!(first[1], Event::Renewed { .. }), "{first:?}");
    assert!(
        present(&mut agent.events()).await.is_empty(),
        "a later reader starts later"
    );
}

#[actix_web::test]
async fn a_lost_node_registers_again_at_once_and_once() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.wait_until_idle(1).await;

    registry.forget_all().await;
    time.step(1).await;
    assert!(registry.lists(&id_of(&node)).await);
    assert_eq!(
        names(&mut events).await,
        ["registered", "lost", "reregistered"]
    );

    time.step(1).await;
    assert_eq!(names(&mut events).await, ["renewed"]);
    let stats = registry.client.stats().await.unwrap();
    assert_eq!((stats.registrations, stats.heartbeats_refused), (2, 1));
}

#[actix_web::test]
async fn an_update_is_announced_at_once() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.wait_until_idle(1).await;

    agent.update_registration(node.clone().network_id("mainnet"));
    while names(&mut events).await != ["registered"] {
        tokio::task::yield_now().await;
    }
    time.wait_until_idle(1).await;
    let query = PeersQuery::from(PeerFilter {
        network_id: Some("mainnet".to_owned()),
        ..PeerFilter::default()
    });
    assert_eq!(registry.client.peers(&query).await.unwrap().total, 1);
}

#[actix_web::test]
async fn the_state_names_the_lease_and_the_next_step() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    let before = agent.state().remove(0);
    assert_eq!(
        (before.next_step, before.next_step_at_ms),
        (Step::Register, START_MS)
    );
    assert!(!agent.is_registered());

    time.wait_until_idle(1).await;
    let after = agent.state().remove(0);
    assert_eq!(after.registry, registry.url);
    assert_eq!(after.next_step, Step::Heartbeat);
    assert_eq!(Some(after.next_step_at_ms), time.clock.next_wake_ms());
    assert_eq!(after.lease_until_ms, Some(START_MS + 600_000));
    assert_eq!(after.last_error, None);
    assert!(agent.is_registered());
}

#[actix_web::test]
async fn a_stopped_agent_and_a_dropped_one_leave_nothing_running() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let start = |node: RegisterRequest| {
        time.agent(node, &registry.url)
            .connected_peers(|| 0)
            .start()
    };
    let (stopped, dropped) = (start(peer("a")).unwrap(), start(peer("b")).unwrap());
    let mut events = stopped.events();
    time.wait_until_idle(4).await;

    stopped.stop().await;
    time.wait_until_idle(2).await;
    assert!(matches!(
        events.next().await,
        Some(Event::Registered { .. })
    ));
    assert_eq!(events.next().await, None);
    drop(dropped);
    time.wait_until_idle(0).await;
}

#[actix_web::test]
async fn the_events_are_a_stream() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    let mut stream = Box::pin(agent.events().into_stream());
    let first = futures_util::StreamExt::next(&mut stream).await;
    assert!(matches!(first, Some(Event::Registered { .. })), "{first:?}");
}

#[actix_web::test]
async fn an_update_that_comes_while_a_registration_is_under_way_is_announced_too() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let proxy = Proxy::start(registry.addr()).await;
    proxy.does(Conduct::Hang);
    let node = node();
    let agent = time.agent(node.clone(), &proxy.url).start().unwrap();
    time.clock.wait_for(|waiting| waiting.guards == 1).await;

    agent.update_registration(node.network_id("mainnet"));
    proxy.does(Conduct::Forward);
    time.clock.set(time.clock.next_guard_ms().unwrap());
    time.wait_until_idle(1).await;
    time.step(1).await;
    let listing = registry.client.peers(&PeersQuery::default()).await.unwrap();
    assert_eq!(listing.peers[0].network_id.as_deref(), Some("mainnet"));
    let stats = registry.client.stats().await.unwrap();
    assert_eq!(stats.registrations, 1, "once is enough");
}

#[test]
fn the_agent_can_be_shared_between_threads_and_awaited_anywhere() {
    fn is_sync<T: Send + Sync>() {}
    fn is_send<T: Send>(_: impl FnOnce(Agent) -> T) {}
    is_sync::<Agent>();
    is_send(|agent| async move { agent.peers().await });
    is_send(|agent| async move { agent.events().next().await });
    is_send(|agent| async move { agent.stop().await });
}
