//! The events about the outcomes of requests.

use super::outcome::Notice;
use super::schedule::Schedule;
use crate::agent::client::sanitize::with_causes;
use crate::agent::client::{ClientError, ProofNotice};
use crate::agent::events::Event;
use crate::protocol::ErrorCode;

/// The event about `notice`, after the schedule has planned the next step. `error` is why the request
/// failed, if it did.
pub(crate) fn event_of(
    notice: Notice,
    registry: &str,
    schedule: &Schedule,
    error: Option<&ClientError>,
) -> Event {
    let registry = registry.to_owned();
    let retry_at_ms = schedule.plan().at_ms;
    let lease_until_ms = schedule.lease_until_ms().unwrap_or(retry_at_ms);
    let heartbeat_interval_ms = schedule.interval_ms();
    let body = error.and_then(ClientError::body);
    let code = || error.and_then(ClientError::code).cloned();
    let reason = || error.map_or_else(String::new, |error| with_causes(error));
    match notice {
        Notice::Registered => Event::Registered {
            registry,
            lease_until_ms,
            heartbeat_interval_ms,
        },
        Notice::Reregistered => Event::Reregistered {
            registry,
            lease_until_ms,
            heartbeat_interval_ms,
        },
        Notice::Renewed => Event::Renewed {
            registry,
            lease_until_ms,
        },
        Notice::Lost => Event::Lost { registry },
        Notice::Throttled => Event::Throttled {
            registry,
            code: code(),
            message: body.map_or_else(reason, |body| body.error.clone()),
            retry_at_ms,
        },
        Notice::Refused => Event::Refused {
            registry,
            code: code().unwrap_or(ErrorCode::Internal.into()),
            message: body.map_or_else(String::new, |body| body.error.clone()),
            retry_at_ms,
        },
        Notice::Unreachable => Event::Unreachable {
            registry,
            reason: reason(),
            retry_at_ms,
        },
        Notice::Reachable { gone_ms } => Event::Reachable { registry, gone_ms },
    }
}

/// The event about the node's proofs to a registry.
pub(crate) fn event_of_notice(notice: ProofNotice, registry: &str) -> Event {
    let registry = registry.to_owned();
    match notice {
        ProofNotice::RegistryKeyChanged { before, now } => Event::RegistryKeyChanged {
            registry,
            before,
            now,
        },
        ProofNotice::UnknownHost { .. }
        | ProofNotice::PasswordInstead
        | ProofNotice::Failed { .. } => Event::NotProven {
            registry,
            reason: notice.to_string(),
        },
    }
}
