//! Which request to send to a registry next, and when.
//!
//! Pure: no I/O and no clock. `now_ms` and the random number generator are parameters.

use std::time::Duration;

use rand::Rng;

use super::pauses::{around, backoff_ms, spread_ms};
use super::terms::{DEFAULT_INTERVAL_MS, Terms};
use crate::agent::client::MAX_RETRY_AFTER;
use crate::protocol::ErrorCode;

/// How long a throttled node waits if the response does not say, in milliseconds.
const THROTTLED_MS: i64 = 5_000;
/// How long to wait after a refusal unless the registration is updated before, in milliseconds.
const REFUSED_MS: i64 = 600_000;

/// A request to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `POST /register`
    Register,
    /// `POST /heartbeat`
    Heartbeat,
}

/// The next step and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) step: Step,
    /// When to send it, in Unix milliseconds.
    pub(crate) at_ms: i64,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The lease is renewed.
    Accepted(Terms),
    /// The registry does not know the peer.
    PeerNotFound,
    /// The registry, or a proxy in front of it, asks the node to wait.
    Throttled { retry_after: Option<Duration> },
    /// The registry refuses this registration.
    Refused(ErrorCode),
    /// There is no response, or one that no registry sends.
    Failed,
}

/// What to report to the node about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Registered,
    Reregistered,
    Renewed,
    Lost,
    Throttled,
    Refused,
    Unreachable,
}

/// Why the next step is a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Start,
    Update,
    Loss,
}

/// What keeps the node from renewing its lease. It is reported once, not after each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unreachable,
    Throttled,
    Refused(ErrorCode),
}

/// The decisions for one registry.
#[derive(Debug)]
pub(crate) struct Schedule {
    at_ms: i64,
    interval_ms: i64,
    /// Why to register; `None` while heartbeats are enough.
    cause: Option<Cause>,
    /// When the lease ends by the node's own clock, in Unix milliseconds.
    lease_until_ms: Option<i64>,
    /// How many steps in a row failed or were throttled.
    failures: u32,
    /// How often the registry lost the peer since it last accepted a heartbeat.
    losses: u32,
    trouble: Option<Trouble>,
}

impl Schedule {
    /// The first step is a registration at `now_ms`.
    pub(crate) fn start(now_ms: i64) -> Self {
        Self {
            at_ms: now_ms,
            interval_ms: DEFAULT_INTERVAL_MS,
            cause: Some(Cause::Start),
            lease_until_ms: None,
            failures: 0,
            losses: 0,
            trouble: None,
        }
    }

    /// The next step.
    pub(crate) fn plan(&self) -> Plan {
        Plan {
            step: match self.cause {
                Some(_) => Step::Register,
                None => Step::Heartbeat,
            },
            at_ms: self.at_ms,
        }
    }

    /// When the lease ends by the node's own clock, in Unix milliseconds.
    pub(crate) fn lease_until_ms(&self) -> Option<i64> {
        self.lease_until_ms
    }

    /// The time between heartbeats, in milliseconds, without jitter.
    pub(crate) fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// Plans to announce a new registration: at once, unless the registry is unreachable or has
    /// asked the node to wait.
    pub(crate) fn update(&mut self, now_ms: i64) {
        self.cause.get_or_insert(Cause::Update);
        if matches!(self.trouble, None | Some(Trouble::Refused(_))) {
            self.trouble = None;
            self.at_ms = now_ms;
        }
    }

    /// Records the outcome of the planned step and plans the next one. `None` if there is nothing
    /// to report.
    pub(crate) fn record(
        &mut self,
        outcome: Outcome,
        now_ms: i64,
        rng: &mut impl Rng,
    ) -> Option<Notice> {
        match outcome {
            Outcome::Accepted(terms) => Some(self.accepted(terms, now_ms, rng)),
            Outcome::PeerNotFound if self.cause.is_none() => Some(self.lost(now_ms, rng)),
            Outcome::Throttled { retry_after } => {
                let wait_ms = retry_after.map_or(THROTTLED_MS, |wait| {
                    i64::try_from(wait.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(THROTTLED_MS)
                });
                let backoff_ms = self.next_backoff_ms(rng);
                let longer_ms = spread_ms(wait_ms, self.interval_ms, rng).max(backoff_ms);
                self.at_ms = now_ms.saturating_add(wait_ms).saturating_add(longer_ms);
                self.is_new(Trouble::Throttled).then_some(Notice::Throttled)
            }
            Outcome::Refused(code) => {
                self.at_ms = now_ms.saturating_add(around(REFUSED_MS, rng));
                self.register_if_lapsed();
                self.is_new(Trouble::Refused(code))
                    .then_some(Notice::Refused)
            }
            // A registry never says "not found" to a registration, so this is a failure.
            Outcome::Failed | Outcome::PeerNotFound => {
                self.at_ms = now_ms.saturating_add(self.next_backoff_ms(rng));
                self.register_if_lapsed();
                self.is_new(Trouble::Unreachable)
                    .then_some(Notice::Unreachable)
            }
        }
    }

    fn accepted(&mut self, terms: Terms, now_ms: i64, rng: &mut impl Rng) -> Notice {
        self.interval_ms = terms.interval_ms();
        self.lease_until_ms = Some(now_ms.saturating_add(terms.lease_ms()));
        self.failures = 0;
        self.trouble = None;
        self.at_ms = now_ms.saturating_add(around(self.interval_ms, rng));
        match self.cause.take() {
            Some(Cause::Start | Cause::Update) => Notice::Registered,
            Some(Cause::Loss) => Notice::Reregistered,
            None => {
                self.losses = 0;
                Notice::Renewed
            }
        }
    }

    /// Plans to register again: at once the first time, then after growing pauses while the registry
    /// keeps losing the peer.
    fn lost(&mut self, now_ms: i64, rng: &mut impl Rng) -> Notice {
        self.cause = Some(Cause::Loss);
        self.lease_until_ms = None;
        let pause_ms = match self.losses {
            0 => 0,
            losses => backoff_ms(losses, self.interval_ms, rng),
        };
        self.losses = self.losses.saturating_add(1);
        self.at_ms = now_ms.saturating_add(pause_ms);
        Notice::Lost
    }

    /// Plans a registration instead of a heartbeat that would come after the end of the lease.
    ///
    /// Only the node assumes that the lease has ended. A registry that was down itself may have
    /// extended it; then the registration renews it as well as a heartbeat would.
    fn register_if_lapsed(&mut self) {
        if self.cause.is_none() && self.lease_until_ms.is_some_and(|until| until <= self.at_ms) {
            self.cause = Some(Cause::Loss);
        }
    }

    /// Counts one more failure and returns the pause after it.
    fn next_backoff_ms(&mut self, rng: &mut impl Rng) -> i64 {
        let pause_ms = backoff_ms(self.failures, self.interval_ms, rng);
        self.failures = self.failures.saturating_add(1);
        pause_ms
    }

    /// Sets the trouble and returns whether it is new.
    fn is_new(&mut self, trouble: Trouble) -> bool {
        self.trouble.replace(trouble) != Some(trouble)
    }
}

#[cfg(test)]
mod tests;
