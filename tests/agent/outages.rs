//! Registries that go away and come back.

use peer_registry::agent::{Event, Step};

use crate::helpers::*;

#[actix_web::test]
async fn a_restart_between_heartbeats_goes_unnoticed() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.pass(300, 1).await;
    names(&mut events).await;

    registry.stop().await;
    registry.resume().await;
    time.pass(300, 1).await;
    assert!(
        names(&mut events)
            .await
            .iter()
            .all(|name| name == "renewed")
    );
    let stats = registry.client.stats().await.unwrap();
    assert_eq!((stats.registrations, stats.heartbeats_refused), (0, 0));
    assert!(stats.heartbeats >= 2);
    assert!(registry.lists(&id_of(&node)).await);
}

#[actix_web::test]
async fn a_short_outage_costs_no_registration() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.pass(10, 1).await;

    registry.stop().await;
    time.pass(300, 1).await;
    registry.resume().await;
    time.pass(120, 1).await;
    let names = names(&mut events).await;
    assert_eq!(
        names[..4],
        ["registered", "unreachable", "reachable", "renewed"],
        "{names:?}"
    );
    assert_eq!(registry.client.stats().await.unwrap().registrations, 0);
}

#[actix_web::test]
async fn after_an_hour_of_outage_the_node_is_back_within_one_interval() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &registry.url).start().unwrap();
    let mut events = agent.events();
    time.pass(300, 1).await;
    names(&mut events).await;

    registry.stop().await;
    time.pass(3_600, 1).await;
    let reported = present(&mut events).await;
    let reasons: Vec<_> = reported
        .iter()
        .filter_map(|event| match event {
            Event::Unreachable { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 1, "reported once: {reported:?}");
    let is_lapse = |event: &&Event| matches!(event, Event::LeaseLapsed { .. });
    let lapses = reported.iter().filter(is_lapse).count();
    assert_eq!(lapses, 1, "{reported:?}");
    assert!(reasons[0].contains("cannot reach"), "{reasons:?}");
    assert!(
        reasons[0].contains("refused"),
        "the cause is named: {reasons:?}"
    );
    let state = agent.state().remove(0);
    assert_eq!(
        state.next_step,
        Step::Register,
        "its lease must have run out"
    );
    assert!(!agent.is_registered() && state.last_error.is_some());

    registry.resume().await;
    assert!(
        registry.lists(&id_of(&node)).await,
        "the outage does not count against its lease"
    );
    time.pass(120, 1).await;
    let back = present(&mut events).await;
    let Event::Reachable { gone_ms, .. } = &back[0] else {
        panic!("{back:?}");
    };
    let whole = 3_600_000 - 132_000..=3_600_000 + 120_000;
    assert!(whole.contains(gone_ms), "{gone_ms}");
    assert!(matches!(back[1], Event::Reregistered { .. }), "{back:?}");
    assert!(agent.is_registered() && registry.lists(&id_of(&node)).await);
}

#[actix_web::test]
async fn a_node_that_starts_before_its_registry_registers_when_it_is_there() {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    registry.stop().await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    time.pass(600, 1).await;
    assert_eq!(agent.state()[0].next_step, Step::Register);

    registry.resume().await;
    time.pass(120, 1).await;
    assert!(agent.is_registered());
}

#[actix_web::test]
async fn of_two_registries_one_that_is_down_does_not_matter_to_the_other() {
    let time = Time::start();
    let mut first = TestRegistry::start(&time).await;
    let second = TestRegistry::start(&time).await;
    let node = node();
    let agent = time.agent(node.clone(), &first.url);
    let agent = agent
        .registry(&second.url)
        .registry(&first.url)
        .start()
        .unwrap();
    first.register_others(&["a"]).await;
    second.register_others(&["b"]).await;
    time.wait_until_idle(2).await;
    assert!(first.lists(&id_of(&node)).await && second.lists(&id_of(&node)).await);
    assert_eq!(agent.peers().await.peers.len(), 2);

    first.stop().await;
    time.pass(1_200, 2).await;
    second.register_others(&["c"]).await;
    let list = agent.peers().await;
    assert_eq!(list.peers.len(), 1, "{list:?}");
    assert_eq!(list.failures.len(), 1, "{list:?}");
    assert!(list.failures[0].contains(&first.url));
    let states = agent.state();
    assert!(!states[0].is_registered(time.now_ms()) && states[1].is_registered(time.now_ms()));

    first.resume().await;
    time.pass(120, 2).await;
    assert!(
        agent
            .state()
            .iter()
            .all(|state| state.is_registered(time.now_ms()))
    );
}
