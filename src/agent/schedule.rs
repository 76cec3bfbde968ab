//! When to ask a registry for what: the decisions of the loop, without the loop.
//!
//! Pure: no I/O and no clock. `now_ms` and the source of chance are parameters.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::retry_after::MAX_RETRY_AFTER;
use super::terms::{DEFAULT_INTERVAL_MS, Terms};
use crate::protocol::ErrorCode;

/// The first pause after a failure is at most this long.
const BACKOFF_BASE_MS: i64 = 1_000;
/// How much longer each further pause may be.
///
/// Nodes notice an outage at their own heartbeats, so at its end they stand at all stages, and
/// each short stage adds as many requests a second as all heartbeats make. After the worst outage,
/// of 90 s, a factor of 2 brings 6.0 % of the nodes in one second, 3 brings 4.7 %, 5 brings 3.5 %.
const BACKOFF_FACTOR: i64 = 5;
/// How long a throttled node waits if it is not told for how long.
const THROTTLED_MS: i64 = 5_000;
/// Waits of at least this long are spread over the whole heartbeat interval.
const LONG_WAIT_MS: i64 = 10_000;
/// When a refused registration is tried again unless it is changed before.
const REFUSED_MS: i64 = 600_000;
/// Heartbeats come early or late by up to one part in this many.
const JITTER_PARTS: i64 = 10;

/// What to ask of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `POST /register`
    Register,
    /// `POST /heartbeat`
    Heartbeat,
}

/// The next step and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) step: Step,
    /// In Unix milliseconds.
    pub(super) at_ms: i64,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The lease is renewed.
    Accepted(Terms),
    /// The registry does not know the peer.
    PeerNotFound,
    /// The registry, or what stands before it, asks to be left alone for a while.
    Throttled { retry_after: Option<Duration> },
    /// The registry will not have this registration.
    Refused(ErrorCode),
    /// No answer, or none that means anything.
    Failed,
}

/// What the node should be told about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
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

/// What keeps the node from renewing; told once, not each time it is met again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unreachable,
    Throttled,
    Refused(ErrorCode),
}

/// The decisions for one registry.
#[derive(Debug)]
pub(super) struct Schedule {
    at_ms: i64,
    interval_ms: i64,
    /// Why to register; none while heartbeats will do.
    cause: Option<Cause>,
    /// When the lease runs out by the node's own clock.
    lease_until_ms: Option<i64>,
    /// Steps in a row that failed or were throttled.
    failures: u32,
    /// Times that the registry forgot the peer since it last accepted a heartbeat.
    losses: u32,
    trouble: Option<Trouble>,
}

impl Schedule {
    /// Begins with a registration at once.
    pub(super) fn start(now_ms: i64) -> Self {
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

    /// What to do next.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            step: match self.cause {
                Some(_) => Step::Register,
                None => Step::Heartbeat,
            },
            at_ms: self.at_ms,
        }
    }

    /// When the lease runs out by the node's own clock, in Unix milliseconds.
    pub(super) fn lease_until_ms(&self) -> Option<i64> {
        self.lease_until_ms
    }

    /// How often heartbeats are sent, in milliseconds, give or take the jitter.
    pub(super) fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    /// The node has something new to announce: at once, unless the registry is out of reach or
    /// has asked to be left alone.
    pub(super) fn update(&mut self, now_ms: i64) {
        self.cause.get_or_insert(Cause::Update);
        if matches!(self.trouble, None | Some(Trouble::Refused(_))) {
            self.trouble = None;
            self.at_ms = now_ms;
        }
    }

    /// Takes what came of the planned step and plans the next one.
    pub(super) fn settle(
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
                self.at_ms = now_ms
                    .saturating_add(wait_ms)
                    .saturating_add(self.next_spread_ms(wait_ms, rng));
                self.meets(Trouble::Throttled).then_some(Notice::Throttled)
            }
            Outcome::Refused(code) => {
                self.at_ms = now_ms.saturating_add(around(REFUSED_MS, rng));
                self.register_if_lapsed();
                self.meets(Trouble::Refused(code))
                    .then_some(Notice::Refused)
            }
            // That the peer is unknown is no answer to its registration.
            Outcome::Failed | Outcome::PeerNotFound => {
                self.at_ms = now_ms.saturating_add(self.next_backoff_ms(rng));
                self.register_if_lapsed();
                self.meets(Trouble::Unreachable)
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

    /// Registers again at once, but not time after time with a registry that keeps forgetting.
    fn lost(&mut self, now_ms: i64, rng: &mut impl Rng) -> Notice {
        self.cause = Some(Cause::Loss);
        self.lease_until_ms = None;
        let pause_ms = match self.losses {
            0 => 0,
            losses => self.backoff_ms(losses, rng),
        };
        self.losses = self.losses.saturating_add(1);
        self.at_ms = now_ms.saturating_add(pause_ms);
        Notice::Lost
    }

    /// A heartbeat that comes after the end of the lease finds nobody to renew, so it is spared.
    ///
    /// Only the node's own reckoning: a registry that was down itself may have prolonged the
    /// lease, and then the registration renews it just as well.
    fn register_if_lapsed(&mut self) {
        if self.cause.is_none() && self.lease_until_ms.is_some_and(|until| until <= self.at_ms) {
            self.cause = Some(Cause::Loss);
        }
    }

    /// How much later than told, since all nodes may have been told the same moment: the end of a
    /// maintenance, which then sees no more requests in a second than any other. Who is told to
    /// wait for some seconds only is one of few, and waits up to twice as long.
    fn next_spread_ms(&mut self, wait_ms: i64, rng: &mut impl Rng) -> i64 {
        let bound_ms = match wait_ms {
            LONG_WAIT_MS.. => self.interval_ms,
            _ => wait_ms.clamp(0, self.interval_ms),
        };
        let backoff_ms = self.next_backoff_ms(rng);
        rng.random_range(0..=bound_ms).max(backoff_ms)
    }

    fn next_backoff_ms(&mut self, rng: &mut impl Rng) -> i64 {
        let pause_ms = self.backoff_ms(self.failures, rng);
        self.failures = self.failures.saturating_add(1);
        pause_ms
    }

    /// Full jitter: anything from nothing to a bound that grows to the heartbeat interval, so that
    /// in a long outage nodes spread over the interval as evenly as their heartbeats do.
    fn backoff_ms(&self, failures: u32, rng: &mut impl Rng) -> i64 {
        let bound_ms = BACKOFF_FACTOR
            .saturating_pow(failures)
            .saturating_mul(BACKOFF_BASE_MS)
            .min(self.interval_ms);
        rng.random_range(0..=bound_ms)
    }

    /// Whether `trouble` is new.
    fn meets(&mut self, trouble: Trouble) -> bool {
        self.trouble.replace(trouble) != Some(trouble)
    }
}

/// `period_ms`, give or take a tenth, so that nodes started together drift apart.
pub(super) fn around(period_ms: i64, rng: &mut impl Rng) -> i64 {
    let most_ms = period_ms / JITTER_PARTS;
    period_ms.saturating_add(rng.random_range(-most_ms..=most_ms))
}

#[cfg(test)]
mod tests;
