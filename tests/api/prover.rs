//! A node that proves its id, step by step.

use libp2p_identity::{Keypair, ed25519};
use peer_registry::protocol::authentication::{ClientAuthentication, NextStep, ResponseHead};
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::helpers::TestRegistry;

/// A node with a key.
pub struct Prover {
    pub id: String,
    host: String,
    authentication: ClientAuthentication,
}

impl Prover {
    /// A node whose key follows from `seed`. It calls the registry by its address.
    pub fn new(registry: &TestRegistry, seed: u8) -> Self {
        Self::calling(seed, &registry.addr().to_string())
    }

    /// A node that calls the registry `host`.
    pub fn calling(seed: u8, host: &str) -> Self {
        let keypair: Keypair =
            ed25519::Keypair::from(ed25519::SecretKey::try_from_bytes([seed; 32]).unwrap()).into();
        Self {
            id: keypair.public().to_peer_id().to_base58(),
            host: host.to_owned(),
            authentication: ClientAuthentication::new(keypair, host, None),
        }
    }

    /// The header for the next request.
    pub fn header(&mut self) -> String {
        self.authentication.next_header(rand::random)
    }

    /// Sends a request until the registry has served it. Returns the last response.
    pub async fn send(
        &mut self,
        registry: &TestRegistry,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        for _ in 0..4 {
            let mut request = registry.request(method.clone(), path);
            request = request.header("host", &self.host);
            request = request.header("authorization", self.header());
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = Answer::of(request.send().await.unwrap()).await;
            let head = ResponseHead {
                status: answer.status.as_u16(),
                www_authenticate: answer.header("www-authenticate"),
                authentication_info: answer.header("authentication-info"),
            };
            match self.authentication.receive(head, rand::random).unwrap() {
                NextStep::SendAgain => {}
                NextStep::Done | NextStep::NotSupported => return answer,
            }
        }
        panic!("a handshake without an end");
    }

    /// `POST`, with a proof.
    pub async fn post(&mut self, registry: &TestRegistry, path: &str, body: &Value) -> Answer {
        self.send(registry, Method::POST, path, Some(body)).await
    }

    /// The smallest registration of this node.
    pub fn registration(&self) -> Value {
        json!({ "peerId": self.id, "addresses": [] })
    }

    /// Registers, with a proof.
    pub async fn register(&mut self, registry: &TestRegistry) -> Answer {
        let body = self.registration();
        self.post(registry, "/register", &body).await
    }

    /// `DELETE /peers/{peerId}`, with a proof.
    pub async fn unregister(&mut self, registry: &TestRegistry) -> Answer {
        let path = format!("/peers/{}", self.id);
        self.send(registry, Method::DELETE, &path, None).await
    }
}
