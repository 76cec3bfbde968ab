//! What a client remembers of its proofs to one registry. Everything is in memory only.

use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libp2p_identity::Keypair;

use crate::protocol::PeerId;
use crate::protocol::authentication::{ClientAuthentication, PeerKey};

/// How long a registry that does not know proofs is not asked for them again, in milliseconds.
const PAUSE_MS: i64 = 3_600_000;

/// What a node should know about its proofs to a registry. `Display` writes it as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofNotice {
    /// The registry has proven another key than before.
    RegistryKeyChanged {
        /// The registry's peer id before.
        before: PeerId,
        /// The registry's peer id now.
        now: PeerId,
    },
    /// The registry does not know itself by the name in its address, so nothing is proven to it.
    UnknownHost {
        /// The name, with the port if it is not the usual one.
        host: String,
    },
    /// The registry's address has a user and a password, and a request has room for one of the two
    /// only. So nothing is proven.
    PasswordInstead,
    /// The registry knows proofs, but the exchange with it failed, so nothing is proven.
    Failed {
        /// What went wrong.
        reason: String,
    },
}

impl fmt::Display for ProofNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegistryKeyChanged { before, now } => write!(
                f,
                "the registry has another key than before: it was {before} and is {now}"
            ),
            Self::UnknownHost { host } => write!(
                f,
                "the node's key is not proven, since the registry does not know itself as {host}: its \
                 operator can declare that name (PUBLIC_HOSTS)"
            ),
            Self::PasswordInstead => f.write_str(
                "the node's key is not proven, since the password in the registry's address takes the \
                 place of the proof",
            ),
            Self::Failed { reason } => write!(f, "the node's key is not proven: {reason}"),
        }
    }
}

/// The proofs of one key to one registry.
#[derive(Debug)]
pub(crate) struct Prover {
    /// Held during a handshake, so that only one is under way.
    exchange: tokio::sync::Mutex<Exchange>,
    memory: Mutex<Memory>,
}

/// What a handshake changes.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) authentication: ClientAuthentication,
    /// Until when the registry is not asked for a handshake, in Unix milliseconds.
    pub(crate) paused_until_ms: i64,
}

#[derive(Debug, Default)]
struct Memory {
    /// The key that the registry has proven, or that the caller expects.
    registry_key: Option<PeerKey>,
    /// Notices that nobody has taken yet.
    notices: Vec<ProofNotice>,
    /// Why nothing is proven, so that it is noticed once.
    cause: Option<ProofNotice>,
}

impl Prover {
    /// `host` is what the client sends in the header `Host`.
    pub(crate) fn new(keypair: &Keypair, host: String) -> Self {
        Self {
            exchange: tokio::sync::Mutex::new(Exchange {
                authentication: ClientAuthentication::new(keypair.clone(), host, None),
                paused_until_ms: i64::MIN,
            }),
            memory: Mutex::default(),
        }
    }

    pub(crate) async fn exchange(&self) -> tokio::sync::MutexGuard<'_, Exchange> {
        self.exchange.lock().await
    }

    pub(crate) fn registry_key(&self) -> Option<PeerKey> {
        self.memory().registry_key.clone()
    }

    pub(crate) fn expect_registry_key(&self, key: PeerKey) {
        self.memory().registry_key = Some(key);
    }

    /// The notices since the last call.
    pub(crate) fn take_notices(&self) -> Vec<ProofNotice> {
        mem::take(&mut self.memory().notices)
    }

    /// Remembers that the registry has proven `key`.
    pub(crate) fn proven(&self, key: Option<&PeerKey>) {
        let mut memory = self.memory();
        memory.cause = None;
        let Some(key) = key else { return };
        if let Some(before) = &memory.registry_key
            && before != key
        {
            let id_of = |key: &PeerKey| key.names().peer_id().clone();
            let notice = ProofNotice::RegistryKeyChanged {
                before: id_of(before),
                now: id_of(key),
            };
            memory.notices.push(notice);
        }
        memory.registry_key = Some(key.clone());
    }

    /// Remembers why nothing is proven. It is noticed once.
    pub(crate) fn not_proven(&self, cause: ProofNotice) {
        let mut memory = self.memory();
        if memory.cause.as_ref() != Some(&cause) {
            memory.notices.push(cause.clone());
            memory.cause = Some(cause);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// Asks for no handshake for a while.
    pub(crate) fn pause(&mut self, now_ms: i64) {
        self.paused_until_ms = now_ms.saturating_add(PAUSE_MS);
    }

    /// The header with the token; `None` if there is no token.
    pub(crate) fn token(&mut self) -> Option<String> {
        let has_token = self.authentication.has_bearer();
        has_token.then(|| self.authentication.next_header(rand::random))
    }

    /// Forgets the token that the registry has refused, unless another one has replaced it already, and
    /// ends a pause.
    pub(crate) fn refused(&mut self, token: Option<&str>) {
        if self.token().as_deref() == token {
            self.authentication.pin(None);
        }
        self.paused_until_ms = i64::MIN;
    }
}
