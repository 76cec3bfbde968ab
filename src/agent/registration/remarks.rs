//! What a registry says beside its yes or no, and how often that is reported.

use crate::agent::events::Event;
use crate::protocol::{DroppedField, HeartbeatResponse, RegisterResponse};

/// How many different warnings are remembered, so that each is reported once.
const MAX_WARNINGS: usize = 16;
/// How many dropped fields are reported at a time.
const MAX_DROPPED: usize = 64;

/// The remarks of one registry so far.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    /// The digest of the registration that this node announced last; `None` if the registry sends
    /// none.
    digest: Option<String>,
    warnings: Vec<String>,
    dropped: Vec<DroppedField>,
}

impl Remarks {
    /// Reads the response to a registration; returns what is new.
    pub(crate) fn of_registration(
        &mut self,
        response: &RegisterResponse,
        registry: &str,
    ) -> Vec<Event> {
        self.digest.clone_from(&response.registration_digest);
        let mut events = Vec::new();
        let dropped = response.dropped.iter().flatten().take(MAX_DROPPED);
        let dropped: Vec<_> = dropped.cloned().collect();
        if self.dropped != dropped {
            self.dropped.clone_from(&dropped);
            if !dropped.is_empty() {
                let registry = Some(registry.to_owned());
                events.push(Event::Dropped { registry, dropped });
            }
        }
        events.extend(self.warning(response.warning.as_deref(), registry));
        events
    }

    /// Reads the response to a heartbeat; returns what is new.
    pub(crate) fn of_heartbeat(
        &mut self,
        response: &HeartbeatResponse,
        registry: &str,
    ) -> Option<Event> {
        self.warning(response.warning.as_deref(), registry)
    }

    /// Whether the registry has stored another registration than the one that this node announced.
    pub(crate) fn is_replaced(&self, response: &HeartbeatResponse) -> bool {
        match (&self.digest, &response.registration_digest) {
            (Some(announced), Some(stored)) => announced != stored,
            _ => false,
        }
    }

    fn warning(&mut self, text: Option<&str>, registry: &str) -> Option<Event> {
        let message = text?.to_owned();
        if message.is_empty() || self.warnings.contains(&message) {
            return None;
        }
        if self.warnings.len() == MAX_WARNINGS {
            self.warnings.remove(0);
        }
        self.warnings.push(message.clone());
        Some(Event::Warned {
            registry: registry.to_owned(),
            message,
        })
    }
}
