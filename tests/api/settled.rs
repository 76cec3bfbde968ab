//! A registry for invalid requests, and valid bodies that tests make invalid.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::TestRegistry;

pub const POSTS: [&str; 3] = ["/register", "/heartbeat", "/register-turn-server"];
pub const JSON: &str = "application/json";

/// A registry with one peer, and what it showed and stored before a test.
pub struct Settled {
    pub registry: TestRegistry,
    before: (Value, Value, Vec<Value>),
}

impl Settled {
    pub async fn start() -> Self {
        let registry = TestRegistry::start().await;
        registry.register(&register_body()).await.ok();
        // So that an unwanted renewal would change `lastSeen`.
        registry.advance_secs(60);
        let before = Self::state(&registry).await;
        Self { registry, before }
    }

    async fn state(registry: &TestRegistry) -> (Value, Value, Vec<Value>) {
        let all = "includeStores=true&includeCapabilities=true";
        let listing = registry.peers(all).await.ok();
        assert_eq!(listing["total"], 1);
        let servers = registry.turn_servers().await.ok();
        (listing, servers, registry.stored_rows().await)
    }

    pub async fn is_as_it_was(&self) {
        assert_eq!(Self::state(&self.registry).await, self.before);
    }

    /// Sends a body without a `Content-Type`.
    pub async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let request = self.registry.request(method, path).body(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Posts a body that must be refused; returns the error.
    pub async fn refuses(&self, path: &str, body: impl Into<reqwest::Body>, code: &str) -> Value {
        let answer = self.registry.post_raw(path, JSON, body).await;
        let error = answer.refused(400, code);
        let sentence = error["error"].as_str().unwrap();
        assert!(!sentence.contains(char::is_control), "{sentence:?}");
        error
    }

    /// Posts a body that must be refused for one field.
    pub async fn refuses_field(&self, path: &str, body: &Value, code: &str, field: &str) {
        let error = self.refuses(path, body.to_string(), code).await;
        assert_eq!(error["field"], field, "{path} {body}");
        let sentence = error["error"].as_str().unwrap();
        assert!(sentence.starts_with(field), "{sentence}");
    }
}

pub fn register_body() -> Value {
    json!({
        "peerId": "a", "addresses": ["/ip6/fd00::1/tcp/1"], "cryptoIPv6": "fd00::1",
        "stores": ["s"], "version": "1", "privacyMode": false, "capabilities": {"x": {"y": "z"}},
        "turnCapable": true, "bootstrapCapable": false, "turnAddresses": ["203.0.113.20"],
        "turnPort": 3478, "turnCapacity": 10, "networkId": "mainnet", "softwareVersion": "1",
        "serverPort": 4001, "nodeType": 0, "capabilityList": [[1, "x"]],
    })
}

/// A valid body for a path.
pub fn body_for(path: &str) -> Value {
    match path {
        "/register" => register_body(),
        "/heartbeat" => json!({ "peerId": "a" }),
        _ => json!({
            "peerId": "a", "turnAddresses": ["203.0.113.9"], "turnPort": 7, "turnCapacity": 8,
        }),
    }
}

/// The paths whose valid bodies have this field.
pub fn paths_with(field: &str) -> impl Iterator<Item = &'static str> {
    POSTS
        .into_iter()
        .filter(move |path| !body_for(path)[field].is_null())
}
