//! The client of one registry: its address, and how a request is sent there.

use std::sync::Arc;

use reqwest::{Method, Request, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ClientError, SetupError};
use super::prover::{ProofNotice, Prover};
use super::response;
use super::sanitize::{self, shown};
use super::transport::{Response, Transport};
use crate::agent::identity::Identity;
use crate::protocol::authentication::PeerKey;
use crate::protocol::paths;

/// The largest response that concerns one peer, in bytes; real ones have about 300.
pub(crate) const SMALL_BODY_BYTES: usize = 64 * 1024;

/// Sends requests to one registry: one method for each endpoint, one request for each call.
///
/// The client never retries. A response that is too late, too long, a redirect, or not from a
/// registry is an error.
///
/// With a key ([`with_identity`](Self::with_identity)) it proves the key with each request that changes
/// something. The first such request, and one about every day, is preceded by two to `/auth`. Clones share
/// the proof.
#[derive(Clone)]
pub struct RegistryClient {
    base: Url,
    name: String,
    transport: Transport,
    /// `None` if the client has no key.
    prover: Option<Arc<Prover>>,
}

impl RegistryClient {
    /// Makes a client for the registry at `url`, e.g. `https://registry.example.org`. The address
    /// may have a path. A user and password in it are sent, but never shown.
    ///
    /// # Errors
    /// [`SetupError::InvalidUrl`] if `url` is not an `http` or `https` address or has a query or a
    /// fragment, [`SetupError::Tls`] if it begins with `https` and the system has no trusted
    /// certificates.
    pub fn new(url: &str, transport: Transport) -> Result<Self, SetupError> {
        let base = parse(url).map_err(|reason| SetupError::InvalidUrl {
            url: sanitize::without_password(url),
            reason,
        })?;
        if base.scheme() == "https" {
            transport.check_tls()?;
        }
        Ok(Self {
            name: shown(&base).trim_end_matches('/').to_owned(),
            base,
            transport,
            prover: None,
        })
    }

    /// Proves the key of `identity` from now on. An identity without its private key proves nothing.
    ///
    /// A registry that does not know proofs gets the same requests as without them.
    #[must_use]
    pub fn with_identity(mut self, identity: &Identity) -> Self {
        let prover = |keypair| Arc::new(Prover::new(keypair, self.host_header()));
        self.prover = identity.keypair().map(prover);
        self
    }

    /// Proves no key from now on.
    #[must_use]
    pub(crate) fn without_identity(mut self) -> Self {
        self.prover = None;
        self
    }

    /// Whether the client has a key that it proves.
    pub fn has_key(&self) -> bool {
        self.prover.is_some()
    }

    /// The key that the registry has proven, or else the expected one; `None` if neither is known.
    pub fn registry_key(&self) -> Option<PeerKey> {
        self.prover.as_ref()?.registry_key()
    }

    /// Expects this key of the registry, which it has proven before. If it proves another one, that is a
    /// [notice](Self::take_notices). Has no effect on a client without a key.
    pub fn expect_registry_key(&self, key: PeerKey) {
        if let Some(prover) = &self.prover {
            prover.expect_registry_key(key);
        }
    }

    /// What the node should know about its proofs, since the last call.
    pub fn take_notices(&self) -> Vec<ProofNotice> {
        let prover = self.prover.as_ref();
        prover.map_or_else(Vec::new, |prover| prover.take_notices())
    }

    pub(crate) fn prover(&self) -> Option<&Prover> {
        self.prover.as_deref()
    }

    /// What requests have in the header `Host`.
    pub(crate) fn host_header(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The address of the registry, without a password, as events and errors name it.
    pub fn url(&self) -> &str {
        &self.name
    }

    /// The host and the port in the registry's address.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        // `new` accepts only addresses that have both.
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        (host.trim_matches(['[', ']']), port)
    }

    /// Whether the connection to the registry uses TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Whether the registry's address has a user or a password.
    pub(crate) fn has_password(&self) -> bool {
        !self.base.username().is_empty() || self.base.password().is_some()
    }

    /// The address of the proxy that requests to the registry go through, without a password.
    pub(crate) fn proxy(&self) -> Option<Url> {
        self.transport.proxy_for(&self.base)
    }

    /// The variable that should name the proxy for the registry, but holds something else.
    pub(crate) fn malformed_proxy(&self) -> Option<&'static str> {
        self.transport.malformed_proxy(&self.base)
    }

    /// Whether a server at the registry's port speaks TLS, though the address begins with `http`.
    pub(crate) async fn is_tls_port(&self) -> bool {
        let (_, port) = self.host_and_port();
        let mut url = self.endpoint(paths::HEALTH);
        // Fails only for addresses that `new` does not accept.
        let is_set = url.set_scheme("https").is_ok() && url.set_port(Some(port)).is_ok();
        let _ = (url.set_username(""), url.set_password(None));
        if !is_set {
            return false;
        }
        match self.get_raw(&url, SMALL_BODY_BYTES).await {
            Ok(_) => true,
            Err(error) => {
                let text = sanitize::with_causes(&error);
                ["certificate", "fatal alert"]
                    .iter()
                    .any(|words| text.contains(words))
            }
        }
    }

    /// The current time by the node's clock, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.transport.now_ms()
    }

    /// Waits for `future` until the request timeout; `None` if it takes longer.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.transport.in_time(future).await
    }

    /// The address of a resource, by its path at the registry, e.g. `/heartbeat`.
    pub(crate) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        // Fails only for addresses without a host, which `new` does not accept.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(path.trim_start_matches('/').split('/'));
        }
        url
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        url: &Url,
        max_bytes: usize,
    ) -> Result<T, ClientError> {
        self.read(url, self.get_raw(url, max_bytes).await?)
    }

    /// Reads the value out of the response to a request to `url`.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        url: &Url,
        response: Response,
    ) -> Result<T, ClientError> {
        response::read(&self.base, url, response)
    }

    /// Sends a GET request and returns the response, whatever its status.
    pub(crate) async fn get_raw(
        &self,
        url: &Url,
        max_bytes: usize,
    ) -> Result<Response, ClientError> {
        let request = self.transport.request(Method::GET, url)?;
        self.transport
            .exchange(request, &shown(url), max_bytes)
            .await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        // Every request type of the protocol has a JSON form, so this does not fail.
        let json = serde_json::to_vec(body).map_err(|error| ClientError::Unreachable {
            url: shown(url),
            source: error.into(),
        })?;
        let response = self.write(Method::POST, url, Some(&json)).await?;
        self.read(url, response)
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<Request, ClientError> {
        self.transport.request(method, url)
    }

    /// Sends a request and returns the response, whatever its status.
    pub(crate) async fn exchange(
        &self,
        request: Request,
        url: &str,
        max_bytes: usize,
    ) -> Result<Response, ClientError> {
        self.transport.exchange(request, url, max_bytes).await
    }
}

/// Parses the address of a registry. The error says what it must be like.
fn parse(url: &str) -> Result<Url, &'static str> {
    const FORM: &str = "it must be like https://registry.example.org";
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it must begin with http:// or https://, like https://registry.example.org");
    };
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Err(FORM);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if !host.starts_with('[') && host.matches(':').count() > 1 {
        return Err("an IPv6 address needs brackets, like http://[::1]:3000");
    }
    if host.starts_with('[') && host.contains('%') {
        return Err(
            "an IPv6 address with a zone, like %eth0, cannot be used: give a host name, or another \
             address of the registry",
        );
    }
    let base = Url::parse(url).map_err(|_| FORM)?;
    match (base.query(), base.fragment()) {
        (None, None) => Ok(base),
        _ => Err("it must not have a ? or a #"),
    }
}
