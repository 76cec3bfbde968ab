//! Each policy × what is known of an id × what the sender shows × path.

use reqwest::Method;

use crate::answer::Answer;
use crate::helpers::TestRegistry;
use crate::prover::Prover;

const DAY_SECS: u64 = 24 * 3600;

/// What a sender shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Nothing,
    Wrong,
    Foreign,
    Expired,
    Own,
}

/// What is known of the id before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    NeverProven,
    Claimed,
    Tombstone,
}

/// The name by which the nodes of the table call the registry: after a restart its port is another one.
const HOST: &str = "registry.example.org";

#[actix_web::test]
async fn each_policy_answers_each_proof_for_each_id() {
    use Known::{Claimed, NeverProven, Tombstone};
    for policy in ["claim", "required", "off"] {
        // A token expires while the registry is down, and no lease does.
        for (down_secs, all_shown) in [
            (
                0,
                &[Shown::Nothing, Shown::Wrong, Shown::Foreign, Shown::Own][..],
            ),
            (DAY_SECS, &[Shown::Expired]),
        ] {
            let flags = [&*format!("--public-hosts={HOST}"), "--address-policy=any"];
            let mut registry = TestRegistry::start_with(&flags).await;
            let mut other = Prover::calling(255, HOST);
            other.send(&registry, Method::GET, "/auth", None).await.ok();
            let mut cells = Vec::new();
            for known in [NeverProven, Claimed, Tombstone] {
                for shown in all_shown {
                    for path in ["/register", "/heartbeat", "DELETE", "/peers"] {
                        let seed = u8::try_from(cells.len()).unwrap();
                        let node = known_node(&registry, known, seed).await;
                        cells.push((known, *shown, path, node));
                    }
                }
            }
            registry.stop().await;
            registry.config.registry.authentication = policy.parse().unwrap();
            registry.advance_secs(down_secs);
            registry.resume().await;
            for (known, shown, path, mut node) in cells {
                let header = match shown {
                    Shown::Nothing => None,
                    Shown::Wrong => Some("libp2p-PeerID bearer=\"AAAA\"".to_owned()),
                    Shown::Foreign => Some(other.header()),
                    Shown::Expired | Shown::Own => Some(node.header()),
                };
                let (status, code) = outcome(&registry, &node, path, header).await;
                let expected = expected(policy, known, shown, path);
                assert_eq!(
                    (status, &*code),
                    expected,
                    "{policy} {known:?} {shown:?} {path}"
                );
            }
        }
    }
}

/// A node with a token, of which the registry knows `known`.
async fn known_node(registry: &TestRegistry, known: Known, seed: u8) -> Prover {
    let mut node = Prover::calling(seed, HOST);
    node.send(registry, Method::GET, "/auth", None).await.ok();
    match known {
        Known::NeverProven => drop(registry.register(&node.registration()).await.ok()),
        Known::Claimed => drop(node.register(registry).await.ok()),
        Known::Tombstone => {
            node.register(registry).await.ok();
            node.unregister(registry).await.ok();
        }
    }
    node
}

fn expected(policy: &str, known: Known, shown: Shown, path: &str) -> (u16, &'static str) {
    let is_read = path == "/peers";
    if policy != "off" && matches!(shown, Shown::Wrong | Shown::Expired) {
        return (401, "invalid_authentication");
    }
    if is_read {
        return (200, "");
    }
    let is_proven = policy != "off" && shown == Shown::Own;
    let is_unproven = policy == "off" || shown == Shown::Nothing;
    if policy != "off" && shown == Shown::Foreign {
        return (403, "identity_mismatch");
    }
    if path == "DELETE" && is_unproven {
        return (401, "authentication_required");
    }
    if is_unproven && (policy == "required" || policy == "claim" && known != Known::NeverProven) {
        return (401, "authentication_required");
    }
    // A tombstone is of a peer that is not registered any more.
    if path != "/register" && known == Known::Tombstone {
        return (404, "peer_not_found");
    }
    assert!(is_proven || is_unproven);
    (200, "")
}

async fn outcome(
    registry: &TestRegistry,
    node: &Prover,
    path: &str,
    header: Option<String>,
) -> (u16, String) {
    let (method, target, body) = match path {
        "DELETE" => (Method::DELETE, format!("/peers/{}", node.id), None),
        "/peers" => (Method::GET, path.to_owned(), None),
        _ => (Method::POST, path.to_owned(), Some(node.registration())),
    };
    let mut request = registry.request(method, &target).header("host", HOST);
    if let Some(header) = header {
        request = request.header("authorization", header);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = Answer::of(request.send().await.unwrap()).await;
    let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), code)
}
