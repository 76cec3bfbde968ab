//! The registry's endpoints as methods.

mod sessions;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{ClientError, SetupError};
use super::query::PeersQuery;
use super::transport::{Answer, Transport};
use super::words;
use crate::clock::unix_ms;
use crate::protocol::{
    ErrorBody, ErrorCode, HealthResponse, HeartbeatRequest, HeartbeatResponse, PeerId,
    PeersResponse, RegisterRequest, RegisterResponse, RegisterTurnServerRequest,
    RegisterTurnServerResponse, StatsResponse, TurnServersResponse,
};

/// The most that an answer to one peer may weigh, in bytes; real ones take 300.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// The most that a listing may weigh, in bytes.
///
/// A page of 1000 ordinary peers takes 400 KB. At the limits of the protocol it takes 5 MB (16
/// addresses of 256 bytes each), and up to twice that where JSON escapes. What is beyond would
/// only fill the memory of the node.
const LISTING_BYTES: usize = 16 * 1024 * 1024;
/// The most that a listing with the stores or the capabilities of each peer may weigh, in bytes.
///
/// At the limits of the protocol, stores take 128 KiB a peer and capabilities 16 KiB: 150 MB a
/// page. The agent itself never asks for them.
const FULL_LISTING_BYTES: usize = 256 * 1024 * 1024;

/// Talks to one registry: a method for each endpoint, each one request.
///
/// Nothing is retried here. An answer that takes too long, weighs too much, redirects elsewhere or
/// does not come from a registry is an error.
#[derive(Clone)]
pub struct RegistryClient {
    base: Url,
    name: String,
    transport: Transport,
}

impl RegistryClient {
    /// Makes a client for the registry at `url`, e.g. `https://registry.example.org`, on which a
    /// path may follow. A user and password in it are sent, and never shown.
    ///
    /// # Errors
    /// [`SetupError::InvalidUrl`] if it is no such address, [`SetupError::Tls`] if it begins with
    /// `https` and the system has no certificates to trust.
    pub fn new(url: &str, transport: Transport) -> Result<Self, SetupError> {
        let base = Url::parse(url)
            .ok()
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .filter(|base| base.query().is_none() && base.fragment().is_none())
            .ok_or_else(|| SetupError::InvalidUrl {
                url: words::without_password(url),
            })?;
        if base.scheme() == "https" {
            transport.check_tls()?;
        }
        Ok(Self {
            name: shown(&base).trim_end_matches('/').to_owned(),
            base,
            transport,
        })
    }

    /// The address of the registry, without a password, as events and errors name it.
    pub fn url(&self) -> &str {
        &self.name
    }

    /// `POST /register`: announces the peer, replacing what it announced before.
    ///
    /// # Errors
    /// See [`ClientError`]; a 200 that names another peer is none of a registry.
    pub async fn register(
        &self,
        registration: &RegisterRequest,
    ) -> Result<RegisterResponse, ClientError> {
        let url = self.endpoint("register");
        let answer: RegisterResponse = self.post(&url, registration).await?;
        check_names(&url, answer.success, &answer.peer_id, &registration.peer_id)?;
        Ok(answer)
    }

    /// `POST /heartbeat`: renews the lease of a registered peer.
    ///
    /// # Errors
    /// See [`ClientError`]; [`is_peer_not_found`](ClientError::is_peer_not_found) means that the
    /// peer has to register again.
    pub async fn heartbeat(&self, peer_id: &PeerId) -> Result<HeartbeatResponse, ClientError> {
        let url = self.endpoint("heartbeat");
        let request = HeartbeatRequest {
            peer_id: peer_id.clone(),
        };
        let answer: HeartbeatResponse = self.post(&url, &request).await?;
        check_names(&url, answer.success, &answer.peer_id, peer_id)?;
        Ok(answer)
    }

    /// `POST /register-turn-server`: a registered peer offers to relay.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn register_turn_server(
        &self,
        request: &RegisterTurnServerRequest,
    ) -> Result<RegisterTurnServerResponse, ClientError> {
        self.post(&self.endpoint("register-turn-server"), request)
            .await
    }

    /// `GET /peers`: lists active peers, those with unprintable text left out.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn peers(&self, query: &PeersQuery) -> Result<PeersResponse, ClientError> {
        let mut url = self.endpoint("peers");
        query.write_to(&mut url);
        let most_bytes = if query.include_stores || query.include_capabilities {
            FULL_LISTING_BYTES
        } else {
            LISTING_BYTES
        };
        let mut answer: PeersResponse = self.get(&url, most_bytes).await?;
        answer.peers.retain(words::is_printable_peer);
        // None is seen after the listing is made, so as to outdo what other registries say.
        let made_ms = unix_ms(&answer.timestamp).unwrap_or(i64::MAX);
        for peer in &mut answer.peers {
            peer.last_seen = peer.last_seen.min(made_ms);
        }
        Ok(answer)
    }

    /// `GET /turn-servers`: lists active TURN servers with room, those with unprintable text left
    /// out.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn turn_servers(&self) -> Result<TurnServersResponse, ClientError> {
        let url = self.endpoint("turn-servers");
        let mut answer: TurnServersResponse = self.get(&url, LISTING_BYTES).await?;
        answer.servers.retain(|server| {
            server
                .turn_addresses
                .iter()
                .all(|text| words::is_printable(text))
        });
        Ok(answer)
    }

    /// `GET /stats`: how many peers there are, and what the registry has done since its start.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stats(&self) -> Result<StatsResponse, ClientError> {
        self.get(&self.endpoint("stats"), SMALL_BODY_BYTES).await
    }

    /// `GET /health`: whether the registry can serve. One that says that it cannot, has answered.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<HealthResponse, ClientError> {
        let url = self.endpoint("health");
        let answer = self
            .exchange(Request::new(Method::GET, url.clone()), SMALL_BODY_BYTES)
            .await?;
        match (answer.status, serde_json::from_slice(&answer.body)) {
            (503, Ok(health)) => Ok(health),
            _ => read(&url, answer),
        }
    }

    /// The host and the port that the registry's address leads to.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        // `new` lets no address pass that lacks either.
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        (host.trim_matches(['[', ']']), port)
    }

    /// Whether the registry is spoken to through TLS.
    pub(super) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The present moment by the node's clock, in Unix milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        self.transport.now_ms()
    }

    /// Waits for `future` as long as for an answer; none if it takes longer.
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.transport.in_time(future).await
    }

    fn endpoint(&self, name: &str) -> Url {
        let mut url = self.base.clone();
        // Only addresses without a host cannot be extended, and `new` lets none of them pass.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(name);
        }
        url
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url, most: usize) -> Result<T, ClientError> {
        let request = Request::new(Method::GET, url.clone());
        read(url, self.exchange(request, most).await?)
    }

    async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        // What the protocol can express has a JSON form, so this does not fail.
        let json = serde_json::to_vec(body).map_err(|error| ClientError::Unreachable {
            url: shown(url),
            source: error.into(),
        })?;
        let mut request = Request::new(Method::POST, url.clone());
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(json.into());
        read(url, self.exchange(request, SMALL_BODY_BYTES).await?)
    }

    async fn exchange(&self, request: Request, most: usize) -> Result<Answer, ClientError> {
        let name = shown(request.url());
        self.transport.exchange(request, &name, most).await
    }
}

/// The address as it may be shown: without user and password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails for addresses that cannot hold either, which then need no hiding.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Takes an answer for what a registry says, or for an error.
fn read<T: DeserializeOwned>(url: &Url, answer: Answer) -> Result<T, ClientError> {
    let reason = match answer.status {
        200 => match serde_json::from_slice(&answer.body) {
            Ok(value) => return Ok(value),
            // The words of the error may hold some of the body.
            Err(error) => words::clean(&format!("its body is not the expected JSON ({error})")),
        },
        status => match error_body(status, &answer.body) {
            Some(body) => {
                return Err(ClientError::Refused {
                    url: shown(url),
                    status,
                    body: Box::new(words::cleaned(body)),
                    retry_after: answer.retry_after,
                });
            }
            None => match &answer.location {
                Some(location) => format!("it redirects to {}", words::clean(location)),
                None => "its body is not an error of a registry".to_owned(),
            },
        },
    };
    Err(ClientError::NotARegistry {
        url: shown(url),
        status: answer.status,
        reason,
        retry_after: answer.retry_after,
    })
}

/// An error in the one error shape; one with a code of a newer registry counts by its status, and
/// keeps the code among its words.
fn error_body(status: u16, json: &[u8]) -> Option<ErrorBody> {
    #[derive(Deserialize)]
    struct NewerError {
        error: String,
        code: String,
        suggestion: Option<String>,
        field: Option<String>,
    }
    if let Ok(body) = serde_json::from_slice(json) {
        return Some(body);
    }
    let newer: NewerError = serde_json::from_slice(json).ok()?;
    Some(ErrorBody {
        error: format!("{} ({})", newer.error, newer.code),
        code: match status {
            400 => ErrorCode::InvalidField,
            401 | 403 => ErrorCode::Unauthorized,
            429 => ErrorCode::Throttled,
            503 => ErrorCode::Overloaded,
            _ => ErrorCode::Internal,
        },
        suggestion: newer.suggestion,
        field: newer.field,
    })
}

/// Holds a 200 to what was asked: anything may answer 200, with anything.
fn check_names(
    url: &Url,
    success: bool,
    named: &PeerId,
    asked: &PeerId,
) -> Result<(), ClientError> {
    if success && named == asked {
        return Ok(());
    }
    Err(ClientError::NotARegistry {
        url: shown(url),
        status: 200,
        reason: format!("its body does not confirm the peer {asked}"),
        retry_after: None,
    })
}
