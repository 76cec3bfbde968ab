//! The server's side of the scheme: the decision on the header `Authorization` of a request.

use libp2p_identity::PublicKey;

use super::base64url;
use super::challenge::Challenge;
use super::hosts::PublicHosts;
use super::key_types::KeyTypes;
use super::keys::PeerKey;
use super::outcome::{InvalidReason, Outcome, Proof};
use super::parameters::{ParameterName, Parameters};
use super::scheme::{CHALLENGE_BYTES, MIN_CHALLENGE_CHARS};
use super::sealed::host_hash;
use super::server_keys::ServerKeys;
use super::signing::{client_signs, server_signs};
use super::token::Token;
use crate::clock::rfc3339;

/// What an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// The names by which clients call the server.
    pub public_hosts: PublicHosts,
    /// The kinds of keys that clients may have.
    pub key_types: KeyTypes,
    /// The life of a token, in milliseconds.
    pub token_ttl_ms: i64,
    /// The time in which a client must respond to a challenge, in milliseconds.
    pub challenge_ttl_ms: i64,
}

/// A server of the scheme. It remembers nothing of a request.
#[derive(Clone, Debug)]
pub struct ServerAuthentication {
    keys: ServerKeys,
    settings: ServerSettings,
}

/// What a header leads to, before the response is written.
enum Step {
    Proven(Outcome),
    /// The client challenged the server.
    Challenged {
        client_key: PeerKey,
        challenge_server: String,
    },
}

/// The request that a header came with.
#[derive(Clone, Copy)]
struct Request<'a> {
    host: &'a str,
    now_ms: i64,
}

impl ServerAuthentication {
    /// A server with these keys and settings.
    pub fn new(keys: ServerKeys, settings: ServerSettings) -> Self {
        Self { keys, settings }
    }

    /// The server's public key, from which its id is derived.
    pub fn public_key(&self) -> PublicKey {
        self.keys.public_key()
    }

    /// Decides on a request. `authorization` is the value of its header `Authorization`, with several of
    /// them joined by commas; `host` is the value of its header `Host` as it was sent, and `now_ms` is the
    /// time in Unix milliseconds. `random` returns random bytes that nobody can guess; it is called only for
    /// a challenge.
    pub fn authenticate(
        &self,
        authorization: Option<&str>,
        host: &str,
        now_ms: i64,
        random: impl FnOnce() -> [u8; CHALLENGE_BYTES],
    ) -> Outcome {
        let parameters = match authorization.map(Parameters::find) {
            None | Some(Ok(None)) => return Outcome::Absent,
            Some(Ok(Some(parameters))) => Ok(parameters),
            Some(Err(fault)) => Err(InvalidReason::from(fault)),
        };
        if !self.settings.public_hosts.admits(host) {
            return Outcome::UnknownHost;
        }
        let request = Request { host, now_ms };
        match parameters.and_then(|parameters| self.take_step(&parameters, request)) {
            Ok(Step::Proven(outcome)) => outcome,
            Ok(Step::Challenged {
                client_key,
                challenge_server,
            }) => Outcome::Challenge {
                www_authenticate: self.prove_and_challenge(
                    request,
                    random(),
                    &client_key,
                    &challenge_server,
                ),
            },
            Err(reason) => Outcome::Invalid {
                reason,
                www_authenticate: self.write_challenge(request, random()),
            },
        }
    }

    /// Returns the value of `WWW-Authenticate` for a request without the header that needs a proof
    /// (specification, "Server Initiated Handshake", step 2). The parameters are those of
    /// [`authenticate`](Self::authenticate). `None` if `host` is not a name of the server.
    pub fn challenge(
        &self,
        host: &str,
        now_ms: i64,
        random: impl FnOnce() -> [u8; CHALLENGE_BYTES],
    ) -> Option<String> {
        let is_admitted = self.settings.public_hosts.admits(host);
        is_admitted.then(|| self.write_challenge(Request { host, now_ms }, random()))
    }

    /// Finds out which step of a handshake the header is, in the order of go-libp2p.
    fn take_step(&self, given: &Parameters, request: Request) -> Result<Step, InvalidReason> {
        let get = |name| given.get(name);
        if let (Some(opaque), Some(sig)) = (get(ParameterName::Opaque), get(ParameterName::Sig)) {
            return self.finish_handshake(given, opaque, sig, request);
        }
        if let Some(bearer) = get(ParameterName::Bearer) {
            return self.open_token(bearer, request);
        }
        let challenge = get(ParameterName::ChallengeServer);
        let (Some(challenge), Some(key)) = (challenge, get(ParameterName::PublicKey)) else {
            return Err(InvalidReason::Incomplete);
        };
        Ok(Step::Challenged {
            client_key: PeerKey::from_text(key, self.settings.key_types)?,
            challenge_server: long_enough(challenge)?.to_owned(),
        })
    }

    /// Verifies the client's signature (specification, "Server Initiated Handshake" and "Client Initiated
    /// Handshake", step 4).
    fn finish_handshake(
        &self,
        given: &Parameters,
        opaque: &str,
        sig: &str,
        request: Request,
    ) -> Result<Step, InvalidReason> {
        let Request { host, now_ms } = request;
        let challenge = Challenge::open(opaque, self.keys.sealing(), host, now_ms)
            .map_err(InvalidReason::Opaque)?;
        let given_key = given.get(ParameterName::PublicKey);
        let given_key = given_key
            .map(|text| PeerKey::from_text(text, self.settings.key_types))
            .transpose()?;
        // In a client-initiated handshake the server has already proven itself.
        let (key, challenge_server) = match &challenge.client_key {
            Some(bytes) => {
                let key = PeerKey::from_bytes(bytes.clone(), self.settings.key_types)?;
                if given_key.is_some_and(|given| given != key) {
                    return Err(InvalidReason::OtherKey);
                }
                (key, None)
            }
            None => {
                let challenge = given.get(ParameterName::ChallengeServer);
                let challenge = long_enough(challenge.ok_or(InvalidReason::Incomplete)?)?;
                (given_key.ok_or(InvalidReason::Incomplete)?, Some(challenge))
            }
        };
        let signed = client_signs(&challenge.text(), host, self.keys.as_bytes());
        let sig = base64url::decode(sig).ok_or(InvalidReason::WrongSignature)?;
        if !key.verifies(&signed, &sig) {
            return Err(InvalidReason::WrongSignature);
        }
        Ok(Step::Proven(self.issue_token(
            key,
            challenge_server,
            request,
        )))
    }

    fn issue_token(
        &self,
        key: PeerKey,
        challenge_server: Option<&str>,
        request: Request,
    ) -> Outcome {
        let names = key.names();
        let token = Token {
            issued_at_ms: request.now_ms,
            expires_at_ms: request.now_ms.saturating_add(self.settings.token_ttl_ms),
            host: host_hash(request.host),
            kind: key.kind(),
            names: names.clone(),
        };
        let mut info = Parameters::new()
            .with(ParameterName::Bearer, token.seal(self.keys.sealing()))
            .with(ParameterName::Expires, rfc3339(token.expires_at_ms));
        if let Some(challenge) = challenge_server {
            info = info.with_bytes(ParameterName::Sig, self.sign(challenge, &key, request.host));
        }
        Outcome::Proven {
            names,
            proof: Proof::Handshake {
                key: Box::new(key),
                authentication_info: info.to_string(),
                expires_at_ms: token.expires_at_ms,
            },
        }
    }

    fn open_token(&self, bearer: &str, request: Request) -> Result<Step, InvalidReason> {
        let token = Token::open(
            bearer,
            self.keys.sealing(),
            request.host,
            request.now_ms,
            self.settings.token_ttl_ms,
            self.settings.key_types,
        );
        let token = token.map_err(InvalidReason::Bearer)?;
        Ok(Step::Proven(Outcome::Proven {
            names: token.names,
            proof: Proof::Bearer {
                expires_at_ms: token.expires_at_ms,
            },
        }))
    }

    /// Writes a challenge with the proof of the server (specification, "Client Initiated Handshake",
    /// step 2).
    fn prove_and_challenge(
        &self,
        request: Request,
        random: [u8; CHALLENGE_BYTES],
        client_key: &PeerKey,
        challenge_server: &str,
    ) -> String {
        let sig = self.sign(challenge_server, client_key, request.host);
        let client_key = Some(client_key.as_bytes().to_vec());
        let parameters = self.challenge_parameters(request, random, client_key);
        parameters.with_bytes(ParameterName::Sig, sig).to_string()
    }

    fn write_challenge(&self, request: Request, random: [u8; CHALLENGE_BYTES]) -> String {
        self.challenge_parameters(request, random, None).to_string()
    }

    fn challenge_parameters(
        &self,
        request: Request,
        random: [u8; CHALLENGE_BYTES],
        client_key: Option<Vec<u8>>,
    ) -> Parameters {
        let ttl_ms = self.settings.challenge_ttl_ms;
        let challenge = Challenge {
            expires_at_ms: request.now_ms.saturating_add(ttl_ms),
            host: host_hash(request.host),
            random,
            client_key,
        };
        Parameters::new()
            .with(ParameterName::ChallengeClient, challenge.text())
            .with_bytes(ParameterName::PublicKey, self.keys.as_bytes())
            .with(ParameterName::Opaque, challenge.seal(self.keys.sealing()))
    }

    fn sign(&self, challenge_server: &str, client_key: &PeerKey, host: &str) -> Vec<u8> {
        let message = server_signs(challenge_server, client_key.as_bytes(), host);
        self.keys.sign(&message)
    }
}

/// Returns the challenge if it can be random: for one that is used again, an old signature of the server would
/// do.
fn long_enough(challenge_server: &str) -> Result<&str, InvalidReason> {
    if challenge_server.len() < MIN_CHALLENGE_CHARS {
        return Err(InvalidReason::ChallengeTooShort);
    }
    Ok(challenge_server)
}
