//! The secrets that a running server uses, which can be replaced without a restart.

use std::sync::{Arc, PoisonError, RwLock};

use super::secret::Secret;
use super::secrets::{ADMIN_TOKEN, TURN_SHARED_SECRET};
use super::server::Config;

/// The secrets that a running server uses; clones share them.
#[derive(Clone, Debug)]
pub struct SecretsInUse(Arc<RwLock<Held>>);

#[derive(Debug)]
struct Held {
    turn: Vec<Secret>,
    admin_token: Option<Secret>,
    /// Whether the admin paths exist, which is decided at the start.
    has_admin_paths: bool,
}

/// The settings that [`SecretsInUse::replace`] found changed, by name.
#[derive(Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaced {
    /// Those whose new value is in use.
    pub in_use: Vec<&'static str>,
    /// Those that had a value and have none any more, so that none is in use.
    pub removed: Vec<&'static str>,
    /// Those that need a restart.
    pub after_restart: Vec<&'static str>,
}

impl SecretsInUse {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(RwLock::new(Held {
            turn: config.turn_secrets.clone(),
            admin_token: config.admin_token.clone(),
            has_admin_paths: config.admin_token.is_some(),
        })))
    }

    /// The secret that signs credentials of TURN servers.
    pub(crate) fn signing(&self) -> Option<Secret> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.turn.first().cloned()
    }

    /// The token of the admin paths.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.admin_token.clone()
    }

    /// Uses the secrets of `config` from now on.
    pub fn replace(&self, config: &Config) -> Replaced {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut replaced = Replaced::default();
        if held.turn != config.turn_secrets {
            held.turn.clone_from(&config.turn_secrets);
            let names = match held.turn.is_empty() {
                true => &mut replaced.removed,
                false => &mut replaced.in_use,
            };
            names.push(TURN_SHARED_SECRET.name);
        }
        if held.admin_token != config.admin_token {
            if held.has_admin_paths {
                held.admin_token.clone_from(&config.admin_token);
                let names = match held.admin_token {
                    None => &mut replaced.removed,
                    Some(_) => &mut replaced.in_use,
                };
                names.push(ADMIN_TOKEN.name);
            } else {
                replaced.after_restart.push(ADMIN_TOKEN.name);
            }
        }
        replaced
    }
}
