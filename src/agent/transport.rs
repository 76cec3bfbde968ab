//! One HTTP client and one clock for all registries.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Request, Response, redirect};

use super::error::{ClientError, SetupError};
use super::retry_after;
use crate::clock::{SystemClock, Timer};

/// How long an answer is waited for unless [`Transport::with_timeout`] says otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What requests go out through: an HTTP client, a clock, and the time that an answer is given.
///
/// A clone shares all of it. A process needs one, for however many registries and agents.
#[derive(Clone)]
pub struct Transport {
    http: reqwest::Client,
    timer: Arc<dyn Timer>,
    timeout: Duration,
    /// Why HTTPS cannot be used, if it cannot.
    no_tls: Option<Arc<reqwest::Error>>,
}

/// An answer that has arrived in full.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect points, as the server wrote it.
    pub(super) location: Option<String>,
}

impl Transport {
    /// Makes a transport on the system's clock, which gives an answer 10 seconds.
    ///
    /// # Errors
    /// [`SetupError::Http`], which is not to be expected.
    pub fn new() -> Result<Self, SetupError> {
        Self::with_timer(Arc::new(SystemClock::start()))
    }

    /// Makes a transport on a clock of the caller's, e.g. a manual one.
    ///
    /// # Errors
    /// [`SetupError::Http`], which is not to be expected.
    pub fn with_timer(timer: Arc<dyn Timer>) -> Result<Self, SetupError> {
        let (http, no_tls) = match http_client().build() {
            Ok(http) => (http, None),
            // A small container has no certificates to trust. It can do without HTTPS, and
            // `RegistryClient::new` says so to one who wants it.
            Err(error) => match http_client().tls_certs_only([]).build() {
                Ok(http) => (http, Some(error)),
                Err(source) => {
                    return Err(SetupError::Http {
                        source: source.into(),
                    });
                }
            },
        };
        Ok(Self {
            http,
            timer,
            timeout: REQUEST_TIMEOUT,
            no_tls: no_tls.map(Arc::new),
        })
    }

    /// Makes sure that HTTPS can be used.
    pub(super) fn check_tls(&self) -> Result<(), SetupError> {
        match &self.no_tls {
            None => Ok(()),
            Some(error) => Err(SetupError::Tls {
                source: Arc::clone(error).into(),
            }),
        }
    }

    /// Sets how long an answer is waited for. Default 10 s; longer delays finding out that a
    /// registry hangs, shorter gives up on slow networks.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The clock.
    pub(super) fn timer(&self) -> &Arc<dyn Timer> {
        &self.timer
    }

    /// The present moment, in Unix milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        self.timer.now_ms()
    }

    /// Sends `request` and takes the whole answer, of at most `most_bytes` when unpacked.
    ///
    /// `url` is what errors call the request: its address without a password.
    pub(super) async fn exchange(
        &self,
        request: Request,
        url: &str,
        most_bytes: usize,
    ) -> Result<Answer, ClientError> {
        match self.in_time(self.send(request, url, most_bytes)).await {
            Some(answer) => answer,
            None => Err(ClientError::Timeout {
                url: url.to_owned(),
                timeout_secs: self.timeout.as_secs_f64(),
            }),
        }
    }

    /// Waits for `future` as long as for an answer; none if it takes longer.
    pub(super) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let timeout_ms = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        let give_up = self
            .timer
            .guard_until(self.now_ms().saturating_add(timeout_ms));
        tokio::select! {
            biased;
            output = future => Some(output),
            () = give_up => None,
        }
    }

    async fn send(
        &self,
        request: Request,
        url: &str,
        most_bytes: usize,
    ) -> Result<Answer, ClientError> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            url: url.to_owned(),
            source: error.without_url().into(),
        };
        let mut response = self.http.execute(request).await.map_err(unreachable)?;
        let mut answer = self.head(&response);
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if chunk.len() > most_bytes - answer.body.len() {
                return Err(ClientError::TooLong {
                    url: url.to_owned(),
                    status: answer.status,
                    most_bytes,
                    retry_after: answer.retry_after,
                });
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn head(&self, response: &Response) -> Answer {
        let headers = response.headers();
        Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            retry_after: text(headers, &RETRY_AFTER)
                .and_then(|value| retry_after::parse(value, text(headers, &DATE), self.now_ms())),
            location: text(headers, &LOCATION).map(str::to_owned),
        }
    }
}

fn http_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("peer-registry-agent/", env!("CARGO_PKG_VERSION")))
        // An announcement is not for whoever a captive portal or a stranger points to.
        .redirect(redirect::Policy::none())
        // Two minutes later a kept connection is dead more often than not, and the node may be in
        // another network: a fresh one costs less than finding out.
        .pool_max_idle_per_host(0)
}

fn text<'h>(headers: &'h HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
