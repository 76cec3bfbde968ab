//! The endpoints for peers, TURN servers and the state of the registry.

use reqwest::Method;

use super::error::ClientError;
use super::registry_client::{RegistryClient, SMALL_BODY_BYTES};
use super::response::check_confirms;
use super::sanitize;
use crate::clock::unix_ms;
use crate::protocol::{
    DroppedField, HealthResponse, HeartbeatRequest, HeartbeatResponse, ListedPeer, PeerId,
    PeerResponse, PeersQuery, PeersResponse, RegisterRequest, RegisterResponse,
    RegisterTurnServerRequest, RegisterTurnServerResponse, StatsResponse, TurnServersResponse,
    UnregisterResponse, paths,
};

/// The largest listing that is read, in bytes.
///
/// A page of 1000 ordinary peers takes 400 KB. At the limits of the protocol it takes 9 MB (16
/// addresses of 512 bytes each), and up to twice that where JSON escapes. A longer one would only
/// fill the memory of the node.
const LISTING_BYTES: usize = 20 * 1024 * 1024;
/// The largest listing that is read, in bytes, if it has the stores or the capabilities of each
/// peer.
///
/// At the limits of the protocol, stores take 128 KiB for each peer and capabilities 16 KiB:
/// 150 MB for a page. The agent itself never requests them.
const FULL_LISTING_BYTES: usize = 256 * 1024 * 1024;

/// The largest entry of one peer that is read with its stores and capabilities, in bytes. At the limits of
/// the protocol it takes 160 KiB, and at most 320 KiB if its characters are escaped.
const FULL_PEER_BYTES: usize = 1024 * 1024;

impl RegistryClient {
    /// `POST /register`: announces the peer and replaces what it announced before.
    ///
    /// # Errors
    /// See [`ClientError`]; a 200 that names another peer is [`ClientError::NotARegistry`].
    pub async fn register(
        &self,
        registration: &RegisterRequest,
    ) -> Result<RegisterResponse, ClientError> {
        let url = self.endpoint(paths::REGISTER);
        let mut response: RegisterResponse = self.post(&url, registration).await?;
        let confirmed = &response.peer_id;
        check_confirms(&url, response.success, confirmed, &registration.peer_id)?;
        response.warning = response.warning.as_deref().map(sanitize::sanitize);
        sanitize_dropped(&mut response.dropped);
        Ok(response)
    }

    /// `POST /heartbeat`: renews the lease of a registered peer.
    ///
    /// # Errors
    /// See [`ClientError`]; [`is_peer_not_found`](ClientError::is_peer_not_found) means that the
    /// peer has to register again.
    pub async fn heartbeat(&self, peer_id: &PeerId) -> Result<HeartbeatResponse, ClientError> {
        let url = self.endpoint(paths::HEARTBEAT);
        let request = HeartbeatRequest {
            peer_id: peer_id.clone(),
        };
        let mut response: HeartbeatResponse = self.post(&url, &request).await?;
        check_confirms(&url, response.success, &response.peer_id, peer_id)?;
        response.warning = response.warning.as_deref().map(sanitize::sanitize);
        Ok(response)
    }

    /// `DELETE /peers/{peerId}`: the peer leaves at once. The client must have its key.
    ///
    /// # Errors
    /// See [`ClientError`]; [`is_peer_not_found`](ClientError::is_peer_not_found) means that the peer is
    /// not registered.
    pub async fn unregister(&self, peer_id: &PeerId) -> Result<UnregisterResponse, ClientError> {
        let path = paths::PEER.replace("{peerId}", peer_id.as_str());
        let url = self.endpoint(&path);
        let response = self.write(Method::DELETE, &url, None).await?;
        let response: UnregisterResponse = self.read(&url, response)?;
        check_confirms(&url, response.success, &response.peer_id, peer_id)?;
        Ok(response)
    }

    /// `POST /register-turn-server`: a registered peer offers to relay.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn register_turn_server(
        &self,
        request: &RegisterTurnServerRequest,
    ) -> Result<RegisterTurnServerResponse, ClientError> {
        let url = self.endpoint(paths::REGISTER_TURN_SERVER);
        let mut response: RegisterTurnServerResponse = self.post(&url, request).await?;
        sanitize_dropped(&mut response.dropped);
        Ok(response)
    }

    /// `GET /peers`: lists active peers, without those that have unprintable text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn peers(&self, query: &PeersQuery) -> Result<PeersResponse, ClientError> {
        let mut url = self.endpoint(paths::PEERS);
        let pairs = query.pairs();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let max_bytes = if query.include_stores || query.include_capabilities {
            FULL_LISTING_BYTES
        } else {
            LISTING_BYTES
        };
        let mut response: PeersResponse = self.get(&url, max_bytes).await?;
        response.peers.retain(sanitize::is_printable_peer);
        if let Some(limit) = query.limit {
            // A registry that sends more than was asked for must not flood the node.
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            response.peers.truncate(limit);
        }
        response.returned = response.peers.len() as u64;
        for peer in &mut response.peers {
            not_in_the_future(peer, &response.timestamp);
        }
        Ok(response)
    }

    /// `GET /peers/{peerId}`: one active peer.
    ///
    /// # Errors
    /// See [`ClientError`]; [`is_peer_not_found`](ClientError::is_peer_not_found) means that the
    /// peer is not active. Older registries answer 404 `not_found`, since they have no such path.
    pub async fn peer(&self, peer_id: &PeerId) -> Result<PeerResponse, ClientError> {
        let query = PeersQuery::default();
        self.peer_with(peer_id, &query, SMALL_BODY_BYTES).await
    }

    /// `GET /peers/{peerId}` with the stores and the capabilities of the peer.
    pub(crate) async fn peer_in_full(&self, peer_id: &PeerId) -> Result<PeerResponse, ClientError> {
        let query = PeersQuery {
            include_stores: true,
            include_capabilities: true,
            ..PeersQuery::default()
        };
        self.peer_with(peer_id, &query, FULL_PEER_BYTES).await
    }

    async fn peer_with(
        &self,
        peer_id: &PeerId,
        query: &PeersQuery,
        max_bytes: usize,
    ) -> Result<PeerResponse, ClientError> {
        let path = paths::PEER.replace("{peerId}", peer_id.as_str());
        let mut url = self.endpoint(&path);
        let pairs = query.pairs();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let mut response: PeerResponse = self.get(&url, max_bytes).await?;
        let is_printable = sanitize::is_printable_peer(&response.peer);
        check_confirms(&url, is_printable, &response.peer.peer_id, peer_id)?;
        not_in_the_future(&mut response.peer, &response.timestamp);
        Ok(response)
    }

    /// `GET /turn-servers`: lists active TURN servers with free capacity, without those that have
    /// unprintable text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn turn_servers(&self) -> Result<TurnServersResponse, ClientError> {
        let url = self.endpoint(paths::TURN_SERVERS);
        let mut response: TurnServersResponse = self.get(&url, LISTING_BYTES).await?;
        response.servers.retain(|server| {
            server
                .turn_addresses
                .iter()
                .all(|text| sanitize::is_printable(text))
        });
        Ok(response)
    }

    /// `GET /stats`: the number of peers, and what the registry has done since its start.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stats(&self) -> Result<StatsResponse, ClientError> {
        self.get(&self.endpoint(paths::STATS), SMALL_BODY_BYTES)
            .await
    }

    /// `GET /health`: whether the registry can serve. "It cannot" (503) is a result, not an error.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<HealthResponse, ClientError> {
        let url = self.endpoint(paths::HEALTH);
        let response = self.get_raw(&url, SMALL_BODY_BYTES).await?;
        match (response.status, serde_json::from_slice(&response.body)) {
            (503, Ok(health)) => Ok(health),
            _ => self.read(&url, response),
        }
    }
}

/// Makes what a registry says about dropped fields safe to show.
fn sanitize_dropped(dropped: &mut Option<Vec<DroppedField>>) {
    for dropped in dropped.iter_mut().flatten() {
        dropped.field = sanitize::sanitize(&dropped.field);
        dropped.reason = sanitize::sanitize(&dropped.reason);
    }
}

/// Corrects a `lastSeen` after the time of the response: with it a registry could override what others
/// say.
fn not_in_the_future(peer: &mut ListedPeer, timestamp: &str) {
    let listed_ms = unix_ms(timestamp).unwrap_or(i64::MAX);
    peer.last_seen = peer.last_seen.min(listed_ms);
}
