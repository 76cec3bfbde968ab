//! The registry's side of the scheme `libp2p-PeerID`, with the keys in use.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::http::header::HeaderName;

use crate::protocol::PeerId;
use crate::protocol::authentication::{
    CHALLENGE_BYTES, KeyNames, PublicHosts, ServerAuthentication, ServerKeys, ServerSettings,
};
use crate::server::config::{AuthenticationPolicy, Config};

/// How long a client may take to respond to a challenge, in milliseconds.
const CHALLENGE_TTL_MS: i64 = 5 * 60 * 1000;

/// The header in which the registry proves itself.
pub(crate) const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// The registry's side of the authentication; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Authentication(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: AuthenticationPolicy,
    settings: ServerSettings,
    /// The id of the registry's own key, which no rotation replaces.
    peer_id: PeerId,
    /// With the keys in use, which are replaced from time to time.
    scheme: RwLock<Arc<ServerAuthentication>>,
}

impl Authentication {
    /// `hosts` are the names by which clients call the registry.
    pub(crate) fn new(config: &Config, hosts: PublicHosts, keys: ServerKeys) -> Self {
        let policy = config.registry.authentication;
        let config = &config.authentication;
        let settings = ServerSettings {
            public_hosts: hosts,
            key_types: config.key_types,
            token_ttl_ms: i64::try_from(config.token_ttl_secs.saturating_mul(1000))
                .unwrap_or(i64::MAX),
            challenge_ttl_ms: CHALLENGE_TTL_MS,
        };
        let peer_id = KeyNames::of(&keys.public_key()).peer_id().clone();
        let scheme = ServerAuthentication::new(keys, settings.clone());
        Self(Arc::new(Shared {
            policy,
            settings,
            peer_id,
            scheme: RwLock::new(Arc::new(scheme)),
        }))
    }

    /// Uses these keys from now on.
    pub(crate) fn replace_keys(&self, keys: ServerKeys) {
        let scheme = Arc::new(ServerAuthentication::new(keys, self.0.settings.clone()));
        let mut in_use = self
            .0
            .scheme
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *in_use = scheme;
    }

    pub(crate) fn scheme(&self) -> Arc<ServerAuthentication> {
        let scheme = self.0.scheme.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&scheme)
    }

    /// The registry's own peer id; `None` if it does not authenticate peers.
    pub(crate) fn peer_id(&self) -> Option<PeerId> {
        self.is_on().then(|| self.0.peer_id.clone())
    }

    /// Whether every write needs a proof.
    pub(crate) fn is_required(&self) -> bool {
        self.0.policy == AuthenticationPolicy::Required
    }

    /// Whether proofs are read.
    pub(crate) fn is_on(&self) -> bool {
        self.0.policy != AuthenticationPolicy::Off
    }
}

/// Random bytes for a challenge.
pub(crate) fn random() -> [u8; CHALLENGE_BYTES] {
    rand::random()
}
