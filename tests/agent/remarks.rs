//! What a registry says beside its yes or no: replacements, warnings, dropped fields.

use peer_registry::agent::{Agent, Event, Events, Registration};
use peer_registry::protocol::DroppedField;
use serde_json::{Value, json};

use crate::helpers::*;

/// A node, and a registry whose responses the test changes.
struct Remarking {
    time: Time,
    proxy: Proxy,
    _registry: TestRegistry,
    node: Registration,
    agent: Agent,
    events: Events,
    /// What the registry adds to its response.
    response: Value,
}

impl Remarking {
    /// A node that has registered; the response to it has these additional fields.
    async fn after(additions: Value) -> Self {
        let time = Time::start();
        let registry = TestRegistry::start(&time).await;
        let proxy = Proxy::start(registry.addr()).await;
        let node = node();
        let response = json!({
            "success": true, "peerId": id_of(&node), "totalPeers": 1, "cleanedExpiredPeers": 0,
            "timestamp": "2026-01-01T00:00:00.000Z", "lastSeen": START_MS,
            "expiresAt": START_MS + 600_000, "heartbeatIntervalSecs": 120,
        });
        proxy.responds("200 OK", &merged(&response, &additions));
        let agent = time.agent(node.clone(), &proxy.url).start().unwrap();
        let events = agent.events();
        time.wait_until_idle(1).await;
        Self {
            time,
            proxy,
            _registry: registry,
            node,
            agent,
            events,
            response,
        }
    }

    /// Lets the next request be answered with these additional fields; returns its target and the
    /// events.
    async fn step(&mut self, additions: Value) -> (Vec<String>, Vec<Event>) {
        let body = merged(&self.response, &additions);
        self.proxy.responds("200 OK", &body);
        self.proxy.seen();
        self.time.step(1).await;
        (self.proxy.seen(), present(&mut self.events).await)
    }
}

fn merged(response: &Value, additions: &Value) -> String {
    let mut merged = response.clone();
    for (name, value) in additions.as_object().unwrap() {
        merged[name] = value.clone();
    }
    merged.to_string()
}

fn replacements(events: &[Event]) -> Vec<bool> {
    let replaced = events.iter().filter_map(|event| match event {
        Event::Replaced {
            announces_again, ..
        } => Some(*announces_again),
        _ => None,
    });
    replaced.collect()
}

#[actix_web::test]
async fn a_node_that_was_replaced_announces_itself_again_once_and_then_only_warns() {
    let mut registry = Remarking::after(json!({ "registrationDigest": "mine" })).await;
    let (seen, events) = registry.step(json!({ "registrationDigest": "mine" })).await;
    assert_eq!(seen, ["POST /heartbeat"]);
    assert!(replacements(&events).is_empty(), "{events:?}");

    // The next step is one request: the registration follows the heartbeat at once.
    let (seen, events) = registry
        .step(json!({ "registrationDigest": "theirs" }))
        .await;
    assert_eq!(replacements(&events), [true]);
    assert_eq!(seen, ["POST /heartbeat", "POST /register"]);

    for (digest, told) in [("mine", vec![false]), ("mine", vec![]), ("mine", vec![])] {
        let (seen, events) = registry.step(json!({ "registrationDigest": digest })).await;
        assert_eq!(seen, ["POST /heartbeat"]);
        assert_eq!(replacements(&events), told);
    }
    // A lease later the node tries again, once.
    let mut again = Vec::new();
    for _ in 0..3 {
        let (_, events) = registry.step(json!({ "registrationDigest": "mine" })).await;
        again.extend(replacements(&events));
    }
    assert_eq!(again.first(), Some(&true), "{again:?}");
    registry.agent.stop().await;
}

#[actix_web::test]
async fn a_registry_without_digests_never_replaces() {
    let mut registry = Remarking::after(json!({})).await;
    for digest in [json!(null), json!("later"), json!("other")] {
        let (seen, events) = registry.step(json!({ "registrationDigest": digest })).await;
        assert_eq!(seen, ["POST /heartbeat"]);
        assert!(replacements(&events).is_empty(), "{events:?}");
    }
}

#[actix_web::test]
async fn a_warning_is_reported_once_for_each_text() {
    let mut registry = Remarking::after(json!({ "warning": "two nodes\u{1b} use this key" })).await;
    let url = registry.proxy.url.clone();
    let warned = |message: &str| Event::Warned {
        registry: url.clone(),
        message: message.to_owned(),
    };
    let first = present(&mut registry.events).await;
    assert_eq!(first[1], warned("two nodes\u{fffd} use this key"));
    for (text, told) in [
        (json!("two nodes\u{1b} use this key"), None),
        (json!(null), None),
        (json!("the registry moves"), Some("the registry moves")),
        (json!("two nodes\u{1b} use this key"), None),
    ] {
        let (_, events) = registry.step(json!({ "warning": text })).await;
        assert_eq!(events.get(1), told.map(warned).as_ref(), "{events:?}");
    }
}

#[actix_web::test]
async fn what_the_registry_dropped_is_reported_when_it_changes() {
    let dropped = |field: &str| json!([{ "field": field, "reason": "there are more than 16" }]);
    let mut registry = Remarking::after(json!({ "dropped": dropped("addresses[16]") })).await;
    let event = |field: &str, registry: &Remarking| Event::Dropped {
        registry: Some(registry.proxy.url.clone()),
        dropped: vec![DroppedField {
            field: field.to_owned(),
            reason: "there are more than 16".to_owned(),
        }],
    };
    let first = present(&mut registry.events).await;
    assert_eq!(first[1], event("addresses[16]", &registry));
    for (field, is_told) in [("addresses[16]", false), ("addresses[17]", true)] {
        let body = merged(&registry.response, &json!({ "dropped": dropped(field) }));
        registry.proxy.responds("200 OK", &body);
        let update = registry.node.clone().version(field);
        registry.agent.update_registration(update);
        let mut events = Vec::new();
        while events.is_empty() {
            tokio::task::yield_now().await;
            events = present(&mut registry.events).await;
        }
        let told = is_told.then(|| event(field, &registry));
        assert_eq!(events.get(1), told.as_ref(), "{events:?}");
    }
}
