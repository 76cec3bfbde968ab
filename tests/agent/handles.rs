//! The handles of an agent, and how its tasks end.

use peer_registry::agent::{Agent, Event, SetupError, Transport};

use crate::helpers::*;

#[actix_web::test]
async fn the_stop_of_one_handle_stops_all_and_the_last_drop_does_too() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url).start().unwrap();
    let other = agent.clone();
    let mut events = other.events();
    time.wait_until_idle(1).await;
    drop(agent);
    time.step(1).await;
    assert_eq!(names(&mut events).await, ["registered", "renewed"]);

    let third = other.clone();
    tokio::join!(other.stop(), third.stop());
    time.wait_until_idle(0).await;
    assert_eq!(events.next().await, None);
    assert_eq!(other.events().next().await, None, "a late reader ends too");
    assert_eq!(other.peers().await.peers.len(), 0);

    let agent = time.agent(node(), &registry.url).start().unwrap();
    let other = agent.clone();
    time.wait_until_idle(1).await;
    drop((agent, other));
    time.wait_until_idle(0).await;
}

#[actix_web::test]
async fn a_function_of_the_node_that_panics_ends_the_search_with_an_event_and_nothing_else() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let agent = time.agent(node(), &registry.url);
    let agent = agent.connected_peers(|| panic!("no such table"));
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    time.wait_until_idle(2).await;
    time.clock.set(START_MS + 10_000);
    time.wait_until_idle(1).await;
    let reported = present(&mut events).await;
    let Event::Failed { task, reason } = &reported[1] else {
        panic!("{reported:?}");
    };
    assert_eq!(
        (task.as_str(), reason.as_str()),
        ("the search for peers", "no such table")
    );
    time.step(1).await;
    assert_eq!(names(&mut events).await, ["renewed"]);
    agent.stop().await;
}

/// The events of an agent on a runtime that lacks something.
fn first_event_on(runtime: &mut tokio::runtime::Builder) -> Event {
    runtime.build().unwrap().block_on(async {
        let agent = Agent::builder(node()).registry("http://127.0.0.1:9");
        let agent = agent.start().unwrap();
        agent.events().next().await.unwrap()
    })
}

#[test]
fn a_runtime_without_io_or_without_time_is_reported() {
    let without_io = &mut tokio::runtime::Builder::new_current_thread();
    let event = first_event_on(without_io.enable_time());
    let Event::Failed { task, reason } = &event else {
        panic!("{event:?}");
    };
    assert!(task.contains("http://127.0.0.1:9"), "{task}");
    assert!(reason.contains("IO is disabled"), "{reason}");

    let without_time = &mut tokio::runtime::Builder::new_current_thread();
    let event = first_event_on(without_time.enable_io());
    assert!(matches!(event, Event::Failed { .. }), "{event:?}");
}

#[test]
fn without_a_runtime_the_start_is_an_error() {
    let agent = Agent::builder(node()).registry("http://127.0.0.1:9");
    let transport = Transport::new().unwrap();
    let error = agent.transport(transport).start().err();
    assert!(matches!(error, Some(SetupError::NoRuntime)), "{error:?}");
}

#[actix_web::test]
async fn an_event_is_read_back_from_its_json() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    registry.register_others(&["a"]).await;
    let agent = time.agent(node(), &registry.url).connected_peers(|| 0);
    let agent = agent.start().unwrap();
    let mut events = agent.events();
    time.pass(15, 2).await;
    let events = present(&mut events).await;
    assert_eq!(events.len(), 3, "{events:?}");
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}
