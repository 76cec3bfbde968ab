//! The state of the node's registration with one registry.

use super::schedule::Step;

/// The state of the node's registration with one registry. Times are in Unix milliseconds by the
/// node's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryState {
    /// The address of the registry, without a password.
    pub registry: String,
    /// When the lease ends unless it is renewed; `None` before the first registration and after
    /// the registry has lost the node.
    pub lease_until_ms: Option<i64>,
    /// The next request to the registry.
    pub next_step: Step,
    /// When that request is sent.
    pub next_step_at_ms: i64,
    /// Why the last request failed; `None` if it succeeded.
    pub last_error: Option<String>,
}

impl RegistryState {
    /// Whether the node has a lease at `now_ms` (Unix milliseconds), as far as the node knows.
    pub fn is_registered(&self, now_ms: i64) -> bool {
        self.lease_until_ms.is_some_and(|until| now_ms < until)
    }
}
