//! Goes and looks: asks a registry what any node may ask, and finds out where a request got stuck.

use tokio::net::{TcpStream, lookup_host};

use super::{Finding, Stage, Verdict};
use crate::agent::client::RegistryClient;
use crate::agent::error::ClientError;
use crate::agent::query::PeersQuery;
use crate::agent::words;
use crate::clock::unix_ms;
use crate::protocol::{ListedPeer, PeerId, PeersResponse, RegisterRequest};

/// What to look at beside the registry itself.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Nothing.
    Registry,
    /// How the node is listed. Only reads: no lease is renewed by it.
    Listing {
        /// The node's name.
        peer_id: &'a PeerId,
        /// What the node means to announce, if that is known.
        announced: Option<&'a RegisterRequest>,
        /// How long a lease lasts at the registry, which no listing tells, in seconds: 600 unless
        /// its operator chose otherwise.
        lease_secs: u32,
    },
    /// Whether the registry takes this registration. **It registers the node, or renews it.**
    Registration(&'a RegisterRequest),
}

/// Examines a registry from this node's place; says what is well, too.
///
/// What follows from the registry's being out of reach is not looked at.
pub async fn examine(client: &RegistryClient, subject: Subject<'_>) -> Vec<Finding> {
    let asked_ms = client.now_ms();
    let health = match client.health().await {
        Ok(health) => health,
        Err(error) => return vec![failure(client, &error).await],
    };
    let mut findings = vec![Finding::of_health(&health)];
    if findings[0].verdict() == Verdict::Unreachable {
        return findings;
    }
    if let Some(registry_ms) = health.timestamp.as_deref().and_then(unix_ms) {
        let finding = Finding::of_clocks(asked_ms, client.now_ms(), registry_ms);
        findings.push(finding);
    }
    match subject {
        Subject::Registry => {}
        Subject::Listing {
            peer_id,
            announced,
            lease_secs,
        } => findings.push(match page_of(client, peer_id).await {
            Ok(page) => {
                let now_ms = unix_ms(&page.timestamp).unwrap_or_else(|| client.now_ms());
                Finding::of_listing(entry(&page, peer_id), now_ms, announced, lease_secs)
            }
            Err(error @ ClientError::TooLong { .. }) => Finding::ListingTooLong {
                reason: words::in_full(&error),
            },
            Err(error) => failure(client, &error).await,
        }),
        Subject::Registration(announced) => {
            findings.push(Finding::of_registration(&client.register(announced).await));
        }
    }
    findings
}

/// The page of the listing that `peer_id` is on, if it is listed.
///
/// The listing is in order of the ids and a cursor is the id that a page follows, so the page
/// after all but the last character of an id begins with it, or with very few others.
async fn page_of(client: &RegistryClient, peer_id: &PeerId) -> Result<PeersResponse, ClientError> {
    let id = peer_id.as_str();
    let before = &id[..id.len() - 1];
    let query = PeersQuery {
        cursor: (!before.is_empty()).then(|| before.to_owned()),
        ..PeersQuery::default()
    };
    client.peers(&query).await
}

fn entry<'p>(page: &'p PeersResponse, peer_id: &PeerId) -> Option<&'p ListedPeer> {
    page.peers.iter().find(|peer| peer.peer_id == *peer_id)
}

async fn failure(client: &RegistryClient, error: &ClientError) -> Finding {
    let stage = match error {
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } => stage(client).await,
        ClientError::Refused { .. }
        | ClientError::NotARegistry { .. }
        | ClientError::TooLong { .. } => Stage::Exchange,
    };
    Finding::of_failure(error, stage)
}

/// Goes the way of a request step by step, until one fails.
async fn stage(client: &RegistryClient) -> Stage {
    const NO_ANSWER: &str = "no answer in time";
    let (host, port) = client.host_and_port();
    let named = client.in_time(lookup_host((host, port))).await;
    let addresses: Vec<_> = match named {
        Some(Ok(addresses)) => addresses.collect(),
        Some(Err(error)) => {
            return Stage::Name {
                host: host.to_owned(),
                reason: words::in_full(&error),
            };
        }
        None => {
            return Stage::Name {
                host: host.to_owned(),
                reason: NO_ANSWER.to_owned(),
            };
        }
    };
    let reason = match client.in_time(TcpStream::connect(&addresses[..])).await {
        Some(Ok(_)) if client.is_https() => return Stage::Tls,
        Some(Ok(_)) => return Stage::Exchange,
        Some(Err(error)) => words::in_full(&error),
        None => NO_ANSWER.to_owned(),
    };
    Stage::Connection {
        address: format!("{host}:{port}"),
        reason,
    }
}
