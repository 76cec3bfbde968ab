//! Sends requests to a registry, and finds out where a request failed.

use std::path::Path;

use tokio::net::{TcpStream, lookup_host};

use super::diagnosis::{
    Stage, judge_clocks, judge_failure, judge_health, judge_listing, judge_registration,
    spoke_first,
};
use super::finding::{Finding, Verdict};
use super::live::{judge_live, judge_renewal};
use super::proofs::{Proof, judge_proof};
use crate::agent::client::sanitize::{sanitize, with_causes};
use crate::agent::client::{ClientError, RegistryClient};
use crate::agent::discovery::LastKnownGood;
use crate::clock::unix_ms;
use crate::protocol::{
    DroppedField, HeartbeatResponse, ListedPeer, PeerId, PeersQuery, PeersResponse, RegisterRequest,
};

/// What to examine in addition to the registry itself.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// Nothing.
    Registry,
    /// How the node is listed, and what the registry warns the node of. A node that is registered gets a
    /// heartbeat for that, unless its lease is nearly out; nothing but its lease changes.
    Listing {
        /// The node's id.
        peer_id: &'a PeerId,
        /// What the node announces; `None` if that is not known.
        announced: Option<&'a RegisterRequest>,
        /// The length of a lease in seconds; `None` for what the registry says.
        lease_secs: Option<u32>,
    },
    /// Whether the registry accepts this registration. **This registers the node.** A node that is
    /// registered already keeps its entry, since a running node has announced that: its lease is renewed,
    /// and the entry is compared with this registration.
    Registration(&'a RegisterRequest),
}

/// Examines a registry as this node sees it. Good findings are returned as well as bad ones.
///
/// If the registry cannot be reached, that is the last finding.
pub async fn examine(client: &RegistryClient, subject: Subject<'_>) -> Vec<Finding> {
    let malformed = client.malformed_proxy();
    let malformed = malformed.map(|variable| Finding::ProxyMalformed { variable });
    let mut findings: Vec<_> = malformed.into_iter().collect();
    let requested_ms = client.now_ms();
    let health = match client.health().await {
        Ok(health) => health,
        Err(error) => {
            findings.push(failure(client, &error).await);
            return findings;
        }
    };
    let finding = judge_health(&health);
    let is_registry = finding.verdict() != Verdict::Unreachable;
    findings.push(finding);
    if !is_registry {
        return findings;
    }
    if let Some(registry_ms) = health.timestamp.as_deref().and_then(unix_ms) {
        let finding = judge_clocks(requested_ms, client.now_ms(), registry_ms);
        findings.push(finding);
    }
    match subject {
        Subject::Registry => {}
        Subject::Listing {
            peer_id,
            announced,
            lease_secs,
        } => {
            let says = health.lease_secs.and_then(|secs| u32::try_from(secs).ok());
            let mut is_entry_proven = None;
            let mut warning = None;
            let finding = match entry(client, peer_id).await {
                Ok((peer, timestamp)) => {
                    is_entry_proven = peer.as_ref().map(|peer| peer.authenticated);
                    let now_ms = unix_ms(&timestamp).unwrap_or_else(|| client.now_ms());
                    let finding =
                        judge_listing(peer.as_ref(), now_ms, announced, lease_secs.or(says));
                    // The lease of a node that has stopped runs out.
                    let is_alive = !matches!(finding, Finding::LeaseNearlyOut { .. });
                    let may_renew = |peer: &ListedPeer| client.has_key() || !peer.authenticated;
                    if let Some(peer) = peer.filter(|peer| is_alive && may_renew(peer)) {
                        warning = renew(client, &peer).await.ok().and_then(|it| it.warning);
                    }
                    finding
                }
                Err(error @ ClientError::TooLong { .. }) => Finding::ListingTooLong {
                    reason: with_causes(&error),
                },
                Err(error) => failure(client, &error).await,
            };
            // The listing comes last, as it is what the node's operator asks for.
            findings.extend(proofs(client, is_entry_proven).await);
            findings.extend(warned(warning));
            findings.push(finding);
        }
        Subject::Registration(announced) => findings.extend(registration(client, announced).await),
    }
    findings
}

/// Registers the node, or renews its lease if it is registered already.
async fn registration(client: &RegistryClient, announced: &RegisterRequest) -> Vec<Finding> {
    let live = match entry(client, &announced.peer_id).await {
        Ok((live, _)) => live,
        Err(error) => return vec![failure(client, &error).await],
    };
    let is_entry_proven = live.as_ref().map(|peer| peer.authenticated);
    let mut findings = proofs(client, is_entry_proven).await;
    if let Some(live) = live {
        match renew(client, &live).await {
            // The lease has ended since.
            Err(error) if error.is_peer_not_found() => {}
            result => {
                let finding = judge_renewal(&result, client.url(), client.has_password());
                let is_renewed = result.is_ok();
                findings.push(finding);
                findings.extend(judge_live(&live, announced).filter(|_| is_renewed));
                findings.extend(warned(result.ok().and_then(|response| response.warning)));
                return findings;
            }
        }
    }
    let result = client.register(announced).await;
    let finding = judge_registration(&result, client.url(), client.has_password());
    findings.push(finding);
    if let Ok(response) = result {
        let dropped = response.dropped.filter(|dropped| !dropped.is_empty());
        let is_address = |dropped: &&DroppedField| dropped.field.starts_with("addresses[");
        let count = dropped.iter().flatten().filter(is_address).count();
        let is_none_left = count > 0 && count >= announced.addresses.len();
        findings.extend(dropped.map(|dropped| Finding::Dropped { dropped }));
        findings.extend(is_none_left.then_some(Finding::NoAddressLeft));
        findings.extend(warned(response.warning));
    }
    findings
}

fn warned(warning: Option<String>) -> Option<Finding> {
    warning.map(|text| Finding::Warned {
        warning: sanitize(&text),
    })
}

/// Renews the lease of a registered node, which changes nothing else.
async fn renew(
    client: &RegistryClient,
    peer: &ListedPeer,
) -> Result<HeartbeatResponse, ClientError> {
    if peer.authenticated {
        return client.heartbeat(&peer.peer_id).await;
    }
    // A proof would claim the id, and the running node, which has not proven its key, would be refused
    // from then on.
    let unproven = client.clone().without_identity();
    unproven.heartbeat(&peer.peer_id).await
}

/// Proves the node's key, if it is known. That changes nothing at the registry.
async fn proofs(client: &RegistryClient, is_entry_proven: Option<bool>) -> Vec<Finding> {
    if !client.has_key() {
        let is_claimed = is_entry_proven == Some(true);
        return is_claimed
            .then_some(Finding::ClaimedByItsKey)
            .into_iter()
            .collect();
    }
    let was_registry_known = client.registry_key().is_some();
    match client.prove().await {
        Ok(is_taken) => judge_proof(Proof {
            is_taken,
            was_registry_known,
            notices: client.take_notices(),
            is_entry_proven,
        }),
        Err(error) => vec![failure(client, &error).await],
    }
}

/// The node's entry at the registry, if it is listed, and the registry's time.
async fn entry(
    client: &RegistryClient,
    peer_id: &PeerId,
) -> Result<(Option<ListedPeer>, String), ClientError> {
    match client.peer_in_full(peer_id).await {
        Ok(response) => Ok((Some(response.peer), response.timestamp)),
        // An older registry has no such path. This error does not have its time either.
        Err(error) if error.status() == Some(404) => {
            let page = page_of(client, peer_id).await?;
            let mut peers = page.peers.into_iter();
            let peer = peers.find(|peer| peer.peer_id == *peer_id);
            Ok((peer, page.timestamp))
        }
        Err(error) => Err(error),
    }
}

/// Requests the page of the listing that has `peer_id`, if the peer is listed.
///
/// The listing is in the order of the ids, and a cursor is the id before the page. So with the id
/// without its last character as the cursor, at most a few others come before the wanted peer.
async fn page_of(client: &RegistryClient, peer_id: &PeerId) -> Result<PeersResponse, ClientError> {
    let id = peer_id.as_str();
    let before = &id[..id.len().saturating_sub(1)];
    let query = PeersQuery {
        cursor: (!before.is_empty()).then(|| before.to_owned()),
        ..PeersQuery::default()
    };
    client.peers(&query).await
}

async fn failure(client: &RegistryClient, error: &ClientError) -> Finding {
    let stage = match error {
        _ if client.proxy().is_some() => Stage::Proxy {
            address: client.proxy().map_or_else(String::new, String::from),
        },
        ClientError::Unreachable { .. } => match stage(client).await {
            // What speaks first does not speak TLS.
            Stage::Exchange if spoke_first(error) => Stage::Exchange,
            Stage::Exchange if client.is_tls_port().await => Stage::TlsPort,
            stage => stage,
        },
        ClientError::Timeout { .. } => stage(client).await,
        // Web servers answer plain HTTP on a TLS port with a page.
        ClientError::NotARegistry { status: 400, .. }
            if !client.is_https() && client.is_tls_port().await =>
        {
            Stage::TlsPort
        }
        ClientError::Refused { .. }
        | ClientError::NotARegistry { .. }
        | ClientError::TooLong { .. } => Stage::Exchange,
    };
    judge_failure(error, stage, client.url(), client.has_password())
}

/// Repeats a request step by step, until a step fails.
async fn stage(client: &RegistryClient) -> Stage {
    const TIMED_OUT: &str = "no response in time";
    let (host, port) = client.host_and_port();
    let resolved = client.in_time(lookup_host((host, port))).await;
    let addresses: Vec<_> = match resolved {
        Some(Ok(addresses)) => addresses.collect(),
        Some(Err(error)) => {
            return Stage::Name {
                host: host.to_owned(),
                reason: with_causes(&error),
            };
        }
        None => {
            return Stage::Name {
                host: host.to_owned(),
                reason: TIMED_OUT.to_owned(),
            };
        }
    };
    let reason = match client.in_time(TcpStream::connect(&addresses[..])).await {
        Some(Ok(_)) if client.is_https() => return Stage::Tls,
        Some(Ok(_)) => return Stage::Exchange,
        Some(Err(error)) => with_causes(&error),
        None => TIMED_OUT.to_owned(),
    };
    Stage::Connection {
        address: format!("{host}:{port}"),
        reason,
    }
}

/// Expects the key that the registry has proven to the agent whose
/// [`last_known_good`](crate::agent::AgentBuilder::last_known_good) file is at `path`. Has no effect if the
/// file does not name one, or the client has no key.
pub async fn recall_registry_key(client: &RegistryClient, path: &Path) {
    let saved = LastKnownGood::new(Some(path.to_owned()));
    if let Some(key) = saved.registry_key(client.url()).await {
        client.expect_registry_key(key);
    }
}
