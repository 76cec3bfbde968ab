//! Peers that prove their ids, with everything computed that the load generator would have to compute.

use std::net::SocketAddr;

use libp2p_identity::Keypair;
use peer_registry::protocol::authentication::{ClientAuthentication, NextStep, ResponseHead};
use reqwest::{Client, StatusCode};

use crate::support::peers::HOST;

/// A registered peer, and the values of its header `Authorization`.
pub struct Prover {
    pub id: String,
    /// The first step of the handshake, to which the registry responds with 401.
    pub challenge: String,
    /// The last step, which the registry accepts for five minutes.
    pub proof: String,
    pub token: String,
}

/// Registers `count` peers with a proof.
pub fn register_provers(addr: SocketAddr, count: usize) -> Vec<Prover> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = Client::new();
        let mut provers = Vec::with_capacity(count);
        for _ in 0..count {
            provers.push(register(&client, addr).await);
        }
        provers
    })
}

async fn register(client: &Client, addr: SocketAddr) -> Prover {
    let keypair = Keypair::generate_ed25519();
    let id = keypair.public().to_peer_id().to_base58();
    let body = format!(r#"{{"peerId":"{id}","addresses":[]}}"#);
    let mut authentication = ClientAuthentication::new(keypair, HOST, None);
    let mut headers = Vec::new();
    for status in [StatusCode::UNAUTHORIZED, StatusCode::OK] {
        let header = authentication.next_header(rand::random);
        let request = client
            .post(format!("http://{addr}/register"))
            .header("host", HOST)
            .header("content-type", "application/json")
            .header("authorization", &header)
            .body(body.clone());
        headers.push(header);
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status);
        let text = |name: &str| Some(response.headers().get(name)?.to_str().expect("text"));
        let head = ResponseHead {
            status: status.as_u16(),
            www_authenticate: text("www-authenticate"),
            authentication_info: text("authentication-info"),
        };
        let step = authentication.receive(head, rand::random).expect("a step");
        let is_last = status == StatusCode::OK;
        assert_eq!(step == NextStep::Done, is_last);
    }
    let [challenge, proof] = headers.try_into().expect("two steps");
    Prover {
        id,
        challenge,
        proof,
        token: authentication.next_header(rand::random),
    }
}
