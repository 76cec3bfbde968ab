//! Writes with a proof: the handshake with the registry, and what follows from its responses.
//!
//! The handshake is done at `/auth`, before the request itself, and brings a token for a day. So the body
//! of a registration, which may be long, is never sent twice, and a registry that does not know proofs
//! gets each request as before.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};

use super::error::ClientError;
use super::prover::{Exchange, ProofNotice, Prover};
use super::registry_client::{RegistryClient, SMALL_BODY_BYTES};
use super::sanitize::shown;
use super::transport::Response;
use crate::protocol::authentication::{ClientFault, NextStep, Parameters, ResponseHead};
use crate::protocol::{AuthResponse, ErrorCode, paths};

/// The max number of requests of one handshake: two, one more if the registry has changed its key, and
/// one more if it does so just then.
const MAX_ROUNDS: usize = 4;

/// The status with which a registry asks for a proof.
const UNAUTHORIZED: u16 = 401;

/// How a handshake ended.
enum Ended {
    /// The client has a token.
    Proven,
    /// The registry knows no proofs, or not with this client.
    NotSupported { cause: Option<ProofNotice> },
    /// A response that says nothing about proofs, e.g. of a proxy whose registry is down.
    Unknown(ClientError),
}

/// What a request can be sent with.
enum Proof {
    /// The header with a token.
    Token(String),
    /// Nothing: the registry takes no proof of this client.
    NotTaken,
    /// Nothing, for now: this error does not say whether the registry takes proofs.
    Unknown(ClientError),
}

impl RegistryClient {
    /// Sends a request that changes something, with a proof if the client has a key and the registry
    /// knows proofs.
    pub(crate) async fn write(
        &self,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Response, ClientError> {
        let Some(prover) = self.prover() else {
            return self.send(method, url, body, None).await;
        };
        let mut exchange = prover.exchange().await;
        let token = match self.proof(prover, &mut exchange).await? {
            Proof::Token(token) => Some(token),
            // The request itself shows what is wrong.
            Proof::NotTaken | Proof::Unknown(_) => None,
        };
        drop(exchange);
        let response = self
            .send(method.clone(), url, body, token.as_deref())
            .await?;
        if response.status != UNAUTHORIZED || (token.is_none() && !wants_proof(&response)) {
            return Ok(response);
        }
        // The token has expired, or the registry has new keys, or it has learned of proofs.
        let mut exchange = prover.exchange().await;
        exchange.refused(token.as_deref());
        let proof = self.proof(prover, &mut exchange).await?;
        drop(exchange);
        match proof {
            Proof::Token(token) => self.send(method, url, body, Some(&token)).await,
            Proof::NotTaken => Ok(response),
            Proof::Unknown(error) => Err(error),
        }
    }

    /// Proves the key. Returns whether the registry took the proof; false if it knows no proofs or the
    /// client has no key.
    pub(crate) async fn prove(&self) -> Result<bool, ClientError> {
        let Some(prover) = self.prover() else {
            return Ok(false);
        };
        let mut exchange = prover.exchange().await;
        match self.proof(prover, &mut exchange).await? {
            Proof::Token(_) => Ok(true),
            Proof::NotTaken => Ok(false),
            Proof::Unknown(error) => Err(error),
        }
    }

    /// What the next request is sent with; does a handshake if there is no token yet.
    async fn proof(&self, prover: &Prover, exchange: &mut Exchange) -> Result<Proof, ClientError> {
        if self.has_password() {
            prover.not_proven(ProofNotice::PasswordInstead);
            return Ok(Proof::NotTaken);
        }
        if let Some(token) = exchange.token() {
            return Ok(Proof::Token(token));
        }
        if self.now_ms() < exchange.paused_until_ms {
            return Ok(Proof::NotTaken);
        }
        match self.handshake(prover, exchange).await? {
            Ended::Proven => {
                prover.proven(exchange.authentication.server_key());
                Ok(exchange.token().map_or(Proof::NotTaken, Proof::Token))
            }
            Ended::NotSupported { cause } => {
                exchange.pause(self.now_ms());
                if let Some(cause) = cause {
                    prover.not_proven(cause);
                }
                Ok(Proof::NotTaken)
            }
            Ended::Unknown(error) => Ok(Proof::Unknown(error)),
        }
    }

    /// Does a handshake from the beginning.
    async fn handshake(
        &self,
        prover: &Prover,
        exchange: &mut Exchange,
    ) -> Result<Ended, ClientError> {
        let url = self.endpoint(paths::AUTH);
        let authentication = &mut exchange.authentication;
        authentication.pin(prover.registry_key());
        let mut has_changed = false;
        for _ in 0..MAX_ROUNDS {
            let header = authentication.next_header(rand::random);
            let response = self.send(Method::POST, &url, None, Some(&header)).await?;
            let head = ResponseHead {
                status: response.status,
                www_authenticate: response.www_authenticate.as_deref(),
                authentication_info: response.authentication_info.as_deref(),
            };
            match authentication.receive(head, rand::random) {
                Ok(NextStep::SendAgain) => {}
                Ok(NextStep::Done) if authentication.has_bearer() => return Ok(Ended::Proven),
                // It must prove that it holds the new key before the client remembers it.
                Err(ClientFault::ServerKeyChanged { offered }) if !has_changed => {
                    has_changed = true;
                    authentication.pin(Some(*offered));
                }
                Ok(NextStep::Done | NextStep::NotSupported) | Err(ClientFault::Refused) => {
                    return self.not_proven(&url, response);
                }
                Err(fault) => return Ok(failed(fault.to_string())),
            }
        }
        Ok(failed(
            "the registry asks for one proof after the other".to_owned(),
        ))
    }

    /// What a response means that ends the handshake without a token.
    fn not_proven(&self, url: &Url, response: Response) -> Result<Ended, ClientError> {
        let status = response.status;
        let error = match self.read::<AuthResponse>(url, response) {
            Ok(_) => return Ok(failed("the registry sends no token".to_owned())),
            Err(error) => error,
        };
        let known = error.body().map(|body| body.code);
        match known {
            Some(ErrorCode::UnknownHost) => Ok(Ended::NotSupported {
                cause: Some(ProofNotice::UnknownHost {
                    host: self.host_header(),
                }),
            }),
            // The registry, or a proxy, has no time for the request itself either.
            _ if error.is_throttled() => Err(error),
            Some(_) if status == UNAUTHORIZED || status >= 500 => Err(error),
            Some(_) => Ok(Ended::NotSupported { cause: None }),
            None if matches!(status, 404 | 405) => Ok(Ended::NotSupported { cause: None }),
            None => Ok(Ended::Unknown(error)),
        }
    }

    /// Sends one request.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
        proof: Option<&str>,
    ) -> Result<Response, ClientError> {
        let mut request = self.request(method, url)?;
        if let Some(body) = body {
            request
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.to_vec().into());
        }
        // The scheme writes printable ASCII only, so this does not fail.
        if let Some(mut value) = proof.and_then(|proof| HeaderValue::try_from(proof).ok()) {
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        self.exchange(request, &shown(url), SMALL_BODY_BYTES).await
    }
}

fn failed(reason: String) -> Ended {
    Ended::NotSupported {
        cause: Some(ProofNotice::Failed { reason }),
    }
}

/// Whether a response asks for a proof of the scheme.
fn wants_proof(response: &Response) -> bool {
    let header = response.www_authenticate.as_deref();
    header.is_some_and(|header| matches!(Parameters::find(header), Ok(Some(_))))
}
