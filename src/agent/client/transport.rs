//! One HTTP client and one clock for all registries.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Certificate, Method, Request, Url, redirect};

use super::error::{ClientError, SetupError};
use super::explained::{Way, explained};
use super::proxies;
use super::retry_after;
use super::sanitize::shown;
use crate::clock::{SystemClock, Timer};

/// How long to wait for a response unless [`Transport::with_timeout`] says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The header in which a registry proves itself.
const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// An HTTP client, a clock and a request timeout, for all registries and agents of a process.
///
/// Clones share the HTTP client and the clock.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    timer: Arc<dyn Timer>,
    timeout: Duration,
    /// Why HTTPS cannot be used; `None` if it can.
    no_tls: Option<Arc<reqwest::Error>>,
    /// Certificates that are trusted in addition to the system's.
    roots: Vec<Certificate>,
    /// Whether the HTTP client is the caller's, so that its proxies are not known here.
    is_callers: bool,
}

/// A response that has arrived in full.
pub(crate) struct Response {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body after decompression.
    pub(crate) body: Vec<u8>,
    /// How long the server asks the client to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The target of a redirect, as the server wrote it.
    pub(crate) location: Option<String>,
    /// The challenges of the server, of all schemes.
    pub(crate) www_authenticate: Option<String>,
    /// The proof of the server.
    pub(crate) authentication_info: Option<String>,
}

impl Transport {
    /// Makes a transport on the system's clock, with a timeout of 10 s.
    ///
    /// # Errors
    /// [`SetupError::Http`] if the HTTP client cannot be made, which is unlikely.
    pub fn new() -> Result<Self, SetupError> {
        Self::with_timer(Arc::new(SystemClock::start()))
    }

    /// Makes a transport on the caller's clock, e.g. a manual one, with a timeout of 10 s.
    ///
    /// # Errors
    /// [`SetupError::Http`] if the HTTP client cannot be made, which is unlikely.
    pub fn with_timer(timer: Arc<dyn Timer>) -> Result<Self, SetupError> {
        let (http, no_tls) = build(&[])?;
        Ok(Self {
            http,
            timer,
            timeout: REQUEST_TIMEOUT,
            no_tls,
            roots: Vec::new(),
            is_callers: false,
        })
    }

    /// Also trusts the certificates in `pem`, one or more of certificate authorities, for registries
    /// with a certificate of their own authority.
    ///
    /// # Errors
    /// [`SetupError::Certificate`] if `pem` holds no certificate, [`SetupError::Http`] if the HTTP
    /// client cannot be made with them.
    pub fn with_root_certificate(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        let certificates =
            Certificate::from_pem_bundle(pem).map_err(|error| SetupError::Certificate {
                source: Some(error.into()),
            })?;
        if certificates.is_empty() {
            return Err(SetupError::Certificate { source: None });
        }
        self.roots.extend(certificates);
        (self.http, self.no_tls) = build(&self.roots)?;
        self.is_callers = false;
        Ok(self)
    }

    /// Sends requests with the caller's HTTP client, e.g. one with a proxy or a client certificate of
    /// its own. Its redirects should be off, or a stranger may receive the announcement.
    #[must_use]
    pub fn with_client(mut self, client: reqwest::Client) -> Self {
        self.http = client;
        self.no_tls = None;
        self.is_callers = true;
        self
    }

    /// Returns an error if HTTPS cannot be used.
    pub(crate) fn check_tls(&self) -> Result<(), SetupError> {
        match &self.no_tls {
            None => Ok(()),
            Some(error) => Err(SetupError::Tls {
                source: Arc::clone(error).into(),
            }),
        }
    }

    /// Sets how long to wait for a response. Default 10 s. With a longer timeout the agent notices
    /// later that a registry hangs; with a shorter one, requests fail on slow networks.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The address of the proxy for `url` without a password, from the variables `HTTP_PROXY`,
    /// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; `None` if there is none, or the client is the
    /// caller's.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<Url> {
        match self.is_callers {
            true => None,
            false => proxies::proxy_for(url),
        }
    }

    /// The variable that should name the proxy for `url`, but holds something else; `None` if there is
    /// none, or the client is the caller's.
    pub(crate) fn malformed_proxy(&self, url: &Url) -> Option<&'static str> {
        match self.is_callers {
            true => None,
            false => proxies::malformed_variable(url),
        }
    }

    fn way_to(&self, url: &Url) -> Way {
        Way {
            proxy: self.proxy_for(url),
            malformed_variable: self.malformed_proxy(url),
            is_plain: url.scheme() == "http",
        }
    }

    /// A request with the user and the password in `url`, if it has them, in a header.
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<Request, ClientError> {
        let request = self.http.request(method, url.clone()).build();
        // Fails only for an address that is not http or https, which no client has.
        request.map_err(|error| ClientError::Unreachable {
            url: shown(url),
            source: error.without_url().into(),
        })
    }

    /// The clock that requests and loops wait on.
    pub(crate) fn timer(&self) -> &Arc<dyn Timer> {
        &self.timer
    }

    /// The current time, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.timer.now_ms()
    }

    /// Sends `request` and reads the whole response, of at most `max_bytes` after decompression.
    ///
    /// `url` is the address without a password, for errors.
    pub(crate) async fn exchange(
        &self,
        request: Request,
        url: &str,
        max_bytes: usize,
    ) -> Result<Response, ClientError> {
        let target = request.url().clone();
        match self.in_time(self.send(request, url, max_bytes)).await {
            Some(result) => result,
            None => Err(ClientError::Timeout {
                url: url.to_owned(),
                timeout_secs: self.timeout.as_secs_f64(),
                way: self.way_to(&target).special(),
            }),
        }
    }

    /// Waits for `future` until the request timeout; `None` if it takes longer.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let timeout_ms = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let timeout = self
            .timer
            .guard_until(self.now_ms().saturating_add(timeout_ms));
        tokio::select! {
            biased;
            output = future => Some(output),
            () = timeout => None,
        }
    }

    async fn send(
        &self,
        request: Request,
        url: &str,
        max_bytes: usize,
    ) -> Result<Response, ClientError> {
        let target = request.url().clone();
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            url: url.to_owned(),
            source: explained(error.without_url(), &self.way_to(&target)),
        };
        let mut incoming = self.http.execute(request).await.map_err(unreachable)?;
        let mut response = self.head(&incoming);
        while let Some(chunk) = incoming.chunk().await.map_err(unreachable)? {
            if chunk.len() > max_bytes - response.body.len() {
                return Err(ClientError::TooLong {
                    url: url.to_owned(),
                    status: response.status,
                    max_bytes,
                    retry_after: response.retry_after,
                });
            }
            response.body.extend_from_slice(&chunk);
        }
        Ok(response)
    }

    /// The status and headers, with an empty body.
    fn head(&self, response: &reqwest::Response) -> Response {
        let headers = response.headers();
        Response {
            status: response.status().as_u16(),
            body: Vec::new(),
            retry_after: text(headers, &RETRY_AFTER)
                .and_then(|value| retry_after::parse(value, text(headers, &DATE), self.now_ms())),
            location: text(headers, &LOCATION).map(str::to_owned),
            www_authenticate: joined(headers, &WWW_AUTHENTICATE),
            authentication_info: joined(headers, &AUTHENTICATION_INFO),
        }
    }
}

/// The HTTP client, and why HTTPS cannot be used.
fn build(
    roots: &[Certificate],
) -> Result<(reqwest::Client, Option<Arc<reqwest::Error>>), SetupError> {
    let with_system = http_client().tls_certs_merge(roots.iter().cloned());
    let error = match with_system.build() {
        Ok(http) => return Ok((http, None)),
        Err(error) => error,
    };
    // A small container may have no trusted certificates. HTTP works without them, and HTTPS with the
    // caller's; otherwise `RegistryClient::new` reports the error for an HTTPS address.
    match http_client().tls_certs_only(roots.iter().cloned()).build() {
        Ok(http) => Ok((http, roots.is_empty().then(|| Arc::new(error)))),
        Err(source) => Err(SetupError::Http {
            source: source.into(),
        }),
    }
}

fn http_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("peer-registry-agent/", env!("CARGO_PKG_VERSION")))
        // A captive portal or a stranger must not choose who receives the announcement.
        .redirect(redirect::Policy::none())
        // Heartbeats are two minutes apart. By then an idle connection is usually dead, or the node
        // has changed networks, and a new connection costs less than detecting that.
        .pool_max_idle_per_host(0)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// All headers of this name, joined by commas; `None` if there is none.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values = headers.get_all(name).iter();
    let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}
