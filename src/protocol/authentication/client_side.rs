//! The client's side of the scheme: the header `Authorization` of the next request, and what follows from a
//! response.

use std::fmt;

use libp2p_identity::Keypair;

use super::base64url;
use super::client_outcome::{ClientFault, NextStep, ResponseHead};
use super::header::HeaderFault;
use super::key_types::KeyTypes;
use super::keys::PeerKey;
use super::parameters::{ParameterName, Parameters};
use super::scheme::{CHALLENGE_BYTES, MIN_CHALLENGE_CHARS};
use super::signing::{client_signs, server_signs};

/// The status with which a server asks for a proof.
const UNAUTHORIZED: u16 = 401;

/// The status of a server or a proxy that has no time for the client.
const TOO_MANY_REQUESTS: u16 = 429;

/// How many proofs a server may refuse, one after the other, before the client gives up. One can be refused
/// because the server has just changed its keys.
const MAX_REFUSED_PROOFS: u8 = 2;

/// A client of one server.
pub struct ClientAuthentication {
    keypair: Keypair,
    /// The client's public key in libp2p's protobuf encoding.
    public_key: Vec<u8>,
    hostname: String,
    pinned: Option<PeerKey>,
    state: State,
    refused_proofs: u8,
}

enum State {
    /// Nothing is known of the server.
    Start,
    /// The client has challenged the server.
    Challenged { challenge_server: String },
    /// The client has a proof to send.
    Proving {
        header: String,
        server: Box<PeerKey>,
        /// The challenge to which the server must respond; `None` if it has already proven itself.
        challenge_server: Option<String>,
    },
    /// The client has a token.
    Bearer { header: String },
}

impl ClientAuthentication {
    /// A client with this key. `hostname` is what it sends in the header `Host`: the name of the server, with
    /// the port unless it is the default one. `pinned` is the key that the server proved before; the server
    /// must have the same.
    pub fn new(keypair: Keypair, hostname: impl Into<String>, pinned: Option<PeerKey>) -> Self {
        Self {
            public_key: keypair.public().encode_protobuf(),
            keypair,
            hostname: hostname.into(),
            pinned,
            state: State::Start,
            refused_proofs: 0,
        }
    }

    /// The key that the server has proven.
    pub fn server_key(&self) -> Option<&PeerKey> {
        self.pinned.as_ref()
    }

    /// Expects this key of the server from now on, e.g. after [`ClientFault::ServerKeyChanged`], and starts
    /// from the beginning.
    pub fn pin(&mut self, server: Option<PeerKey>) {
        self.pinned = server;
        self.restart();
    }

    /// Whether the client has a token, so that the next request needs no handshake.
    pub fn has_bearer(&self) -> bool {
        matches!(self.state, State::Bearer { .. })
    }

    /// Returns the value of the header `Authorization` for the next request. `random` returns random bytes
    /// that nobody can guess.
    pub fn next_header(&mut self, random: impl FnOnce() -> [u8; CHALLENGE_BYTES]) -> String {
        match &self.state {
            State::Proving { header, .. } | State::Bearer { header } => header.clone(),
            State::Start | State::Challenged { .. } => {
                let challenge_server = base64url::encode(random());
                let header = self.challenge(&challenge_server).to_string();
                self.state = State::Challenged { challenge_server };
                header
            }
        }
    }

    /// Takes note of the response to a request with [`next_header`](Self::next_header). `random` returns
    /// random bytes that nobody can guess.
    ///
    /// # Errors
    /// A [`ClientFault`] if the client cannot go on.
    pub fn receive(
        &mut self,
        response: ResponseHead,
        random: impl FnOnce() -> [u8; CHALLENGE_BYTES],
    ) -> Result<NextStep, ClientFault> {
        let step = match response.status {
            UNAUTHORIZED => self.receive_challenge(response.www_authenticate, random),
            status => {
                self.refused_proofs = 0;
                self.receive_info(status, response.authentication_info)
            }
        };
        if step.is_err() {
            self.restart();
        }
        step
    }

    fn restart(&mut self) {
        self.state = State::Start;
        self.refused_proofs = 0;
    }

    /// The server wants a proof, or another one than the last.
    fn receive_challenge(
        &mut self,
        www_authenticate: Option<&str>,
        random: impl FnOnce() -> [u8; CHALLENGE_BYTES],
    ) -> Result<NextStep, ClientFault> {
        let state = std::mem::replace(&mut self.state, State::Start);
        if matches!(state, State::Proving { .. }) {
            self.refused_proofs += 1;
            if self.refused_proofs >= MAX_REFUSED_PROOFS {
                return Err(ClientFault::Refused);
            }
        }
        let Some(given) = read(www_authenticate)? else {
            return match state {
                State::Proving { .. } => Err(ClientFault::Refused),
                // The token may have expired; a new handshake shows what the server wants.
                State::Bearer { .. } => Ok(NextStep::SendAgain),
                State::Start | State::Challenged { .. } => Ok(NextStep::NotSupported),
            };
        };
        let server = Box::new(self.key_of_server(&given)?);
        let sig = given.get(ParameterName::Sig);
        self.state = match state {
            State::Challenged { challenge_server } if sig.is_some() => {
                self.verify_server(&given, &server, &challenge_server)?;
                self.pinned = Some((*server).clone());
                let header = self.prove(&given, &server, Parameters::new())?;
                State::Proving {
                    header,
                    server,
                    challenge_server: None,
                }
            }
            // The server began the handshake itself.
            _ => {
                let challenge_server = base64url::encode(random());
                let header = self.challenge(&challenge_server);
                let header = self.prove(&given, &server, header)?;
                State::Proving {
                    header,
                    server,
                    challenge_server: Some(challenge_server),
                }
            }
        };
        Ok(NextStep::SendAgain)
    }

    /// The server wants no other proof for this request; it may have sent a token.
    fn receive_info(&mut self, status: u16, info: Option<&str>) -> Result<NextStep, ClientFault> {
        match std::mem::replace(&mut self.state, State::Start) {
            State::Start => Ok(NextStep::Done),
            // A server without time for the request has not looked at the header.
            State::Challenged { .. } if status == TOO_MANY_REQUESTS || status >= 500 => {
                Ok(NextStep::Done)
            }
            State::Challenged { .. } => Ok(NextStep::NotSupported),
            bearer @ State::Bearer { .. } => {
                self.state = bearer;
                Ok(NextStep::Done)
            }
            State::Proving {
                server,
                challenge_server,
                ..
            } => {
                let Some(given) = read(info)? else {
                    // An error can come from something between client and server. A success without proof
                    // does not come from the server.
                    return match challenge_server {
                        Some(_) if status < 400 => Err(ClientFault::ServerNotProven),
                        _ => Ok(NextStep::Done),
                    };
                };
                if let Some(challenge_server) = challenge_server {
                    self.verify_server(&given, &server, &challenge_server)?;
                }
                self.pinned = Some(*server);
                let token = require(&given, ParameterName::Bearer)?;
                let header = Parameters::new().with(ParameterName::Bearer, token);
                self.state = State::Bearer {
                    header: header.to_string(),
                };
                Ok(NextStep::Done)
            }
        }
    }

    /// The key that the server claims to have, which must be the pinned one.
    fn key_of_server(&self, given: &Parameters) -> Result<PeerKey, ClientFault> {
        let text = require(given, ParameterName::PublicKey)?;
        let server = PeerKey::from_text(text, KeyTypes::supported())?;
        match &self.pinned {
            Some(pinned) if *pinned != server => Err(ClientFault::ServerKeyChanged {
                offered: Box::new(server),
            }),
            _ => Ok(server),
        }
    }

    fn verify_server(
        &self,
        given: &Parameters,
        server: &PeerKey,
        challenge_server: &str,
    ) -> Result<(), ClientFault> {
        let sig = given.get(ParameterName::Sig).and_then(base64url::decode);
        let sig = sig.ok_or(ClientFault::ServerNotProven)?;
        let signed = server_signs(challenge_server, &self.public_key, &self.hostname);
        match server.verifies(&signed, &sig) {
            true => Ok(()),
            false => Err(ClientFault::ServerNotProven),
        }
    }

    /// The challenge for the server.
    fn challenge(&self, challenge_server: &str) -> Parameters {
        Parameters::new()
            .with(ParameterName::ChallengeServer, challenge_server)
            .with_bytes(ParameterName::PublicKey, &self.public_key)
    }

    /// Adds the response to the server's challenge.
    fn prove(
        &self,
        given: &Parameters,
        server: &PeerKey,
        mut header: Parameters,
    ) -> Result<String, ClientFault> {
        let challenge = require(given, ParameterName::ChallengeClient)?;
        if challenge.len() < MIN_CHALLENGE_CHARS {
            return Err(ClientFault::ChallengeTooShort);
        }
        let message = client_signs(challenge, &self.hostname, server.as_bytes());
        let sig = self.keypair.sign(&message);
        let sig = sig.map_err(|_| ClientFault::CannotSign)?;
        header = header.with_bytes(ParameterName::Sig, sig);
        if let Some(opaque) = given.get(ParameterName::Opaque) {
            header = header.with(ParameterName::Opaque, opaque);
        }
        Ok(header.to_string())
    }
}

/// Without the key and the token.
impl fmt::Debug for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthentication")
            .field("hostname", &self.hostname)
            .field("pinned", &self.pinned)
            .finish_non_exhaustive()
    }
}

fn read(header: Option<&str>) -> Result<Option<Parameters>, HeaderFault> {
    header.map_or(Ok(None), Parameters::find)
}

fn require(given: &Parameters, name: ParameterName) -> Result<&str, ClientFault> {
    given.get(name).ok_or(ClientFault::Incomplete(name))
}
