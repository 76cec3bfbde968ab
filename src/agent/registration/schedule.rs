//! Which request to send to a registry next, and when.
//!
//! Pure: no I/O and no clock. `now_ms` and the random number generator are parameters.

use rand::Rng;

use super::outcome::{Notice, Outcome};
use super::pauses::{around, backoff_ms, spread_ms};
use super::terms::{DEFAULT_INTERVAL_MS, DEFAULT_LEASE_MS, Terms};
use crate::agent::client::MAX_RETRY_AFTER;
use crate::agent::client::RefusalCode;

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

/// Why the next step is a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Start,
    Update,
    Loss,
    Replacement,
}

/// What keeps the node from renewing its lease. It is reported when it changes, not after each step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    Unreachable { reason: String },
    Throttled { code: Option<RefusalCode> },
    Refused { code: RefusalCode, message: String },
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
    /// When the registry first did not respond, or asked to wait, in Unix milliseconds; `None` if
    /// it responds.
    gone_since_ms: Option<i64>,
    /// Whether the end of the lease was reported.
    is_lapsed: bool,
    /// The length of the lease, in milliseconds.
    lease_ms: i64,
    /// The replacements of the registration by another node; `None` before the first.
    contest: Option<Contest>,
}

/// A second node announces itself with the node's key.
#[derive(Clone, Copy, Debug)]
struct Contest {
    /// When the node last announced itself again because of it, in Unix milliseconds.
    announced_ms: i64,
    /// Whether it was reported that the node does not announce itself again.
    is_given_up: bool,
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
            gone_since_ms: None,
            is_lapsed: false,
            lease_ms: DEFAULT_LEASE_MS,
            contest: None,
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

    /// When to look at the schedule again: the time of the next step, or the end of the lease.
    pub(crate) fn wake_ms(&self) -> i64 {
        match self.lease_until_ms {
            Some(until_ms) if !self.is_lapsed => self.at_ms.min(until_ms),
            _ => self.at_ms,
        }
    }

    /// Whether the lease has ended and that was not reported yet.
    pub(crate) fn has_lapsed(&mut self, now_ms: i64) -> bool {
        let is_over = self.lease_until_ms.is_some_and(|until| until <= now_ms);
        is_over && !std::mem::replace(&mut self.is_lapsed, true)
    }

    /// Plans to announce a new registration: at once, unless the registry is unreachable or has
    /// asked the node to wait.
    pub(crate) fn update(&mut self, now_ms: i64) {
        self.cause.get_or_insert(Cause::Update);
        if matches!(self.trouble, None | Some(Trouble::Refused { .. })) {
            self.trouble = None;
            self.at_ms = now_ms;
        }
    }

    /// Plans the next step at once if the registry could not be reached before: the network has
    /// changed. A registry that asked the node to wait is left alone.
    ///
    /// A node that no longer announces itself again, since another one has replaced it, does so once more.
    pub(crate) fn try_now(&mut self, now_ms: i64) {
        if let (None, Some(contest)) = (&self.trouble, &mut self.contest)
            && contest.is_given_up
        {
            *contest = Contest {
                announced_ms: now_ms,
                is_given_up: false,
            };
            self.cause.get_or_insert(Cause::Replacement);
            self.at_ms = now_ms;
        }
        if matches!(self.trouble, Some(Trouble::Unreachable { .. })) {
            self.failures = 0;
            self.at_ms = self.at_ms.min(now_ms);
        }
    }

    /// Plans to announce the registration again, since another node has replaced it: at once, but only
    /// once in the time of a lease. Two nodes with one key would otherwise replace each other for ever.
    ///
    /// Returns whether the node announces itself again; `None` if that was reported before.
    pub(crate) fn replaced(&mut self, now_ms: i64) -> Option<bool> {
        match &mut self.contest {
            Some(contest) if now_ms.saturating_sub(contest.announced_ms) < self.lease_ms => {
                (!std::mem::replace(&mut contest.is_given_up, true)).then_some(false)
            }
            contest => {
                *contest = Some(Contest {
                    announced_ms: now_ms,
                    is_given_up: false,
                });
                self.cause.get_or_insert(Cause::Replacement);
                self.at_ms = now_ms;
                Some(true)
            }
        }
    }

    /// Records the outcome of the planned step, plans the next one, and returns what to report.
    pub(crate) fn record(
        &mut self,
        outcome: Outcome,
        now_ms: i64,
        rng: &mut impl Rng,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let is_throttled = matches!(outcome, Outcome::Throttled { .. });
        let is_of_registry = outcome.is_of_registry(self.cause.is_some());
        if !is_of_registry || is_throttled {
            self.gone_since_ms.get_or_insert(now_ms);
        } else if let Some(since_ms) = self.gone_since_ms.take() {
            let gone_ms = now_ms.saturating_sub(since_ms).max(0);
            notices.push(Notice::Reachable { gone_ms });
        }
        notices.extend(self.follow(outcome, now_ms, rng));
        notices
    }

    /// Plans the step after `outcome`. `None` if there is nothing new to report about it.
    fn follow(&mut self, outcome: Outcome, now_ms: i64, rng: &mut impl Rng) -> Option<Notice> {
        match outcome {
            Outcome::Accepted(terms) => Some(self.accepted(terms, now_ms, rng)),
            Outcome::PeerNotFound if self.cause.is_none() => Some(self.lost(now_ms, rng)),
            Outcome::Throttled { retry_after, code } => {
                let wait_ms = retry_after.map_or(THROTTLED_MS, |wait| {
                    i64::try_from(wait.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(THROTTLED_MS)
                });
                let backoff_ms = self.next_backoff_ms(rng);
                let longer_ms = spread_ms(wait_ms, self.interval_ms, rng).max(backoff_ms);
                self.at_ms = now_ms.saturating_add(wait_ms).saturating_add(longer_ms);
                let trouble = Trouble::Throttled { code };
                self.is_new(trouble).then_some(Notice::Throttled)
            }
            Outcome::Refused { code, message } => {
                self.at_ms = now_ms.saturating_add(around(REFUSED_MS, rng));
                self.register_if_lapsed();
                let trouble = Trouble::Refused { code, message };
                self.is_new(trouble).then_some(Notice::Refused)
            }
            Outcome::Failed { reason } => self.failed(reason, now_ms, rng),
            // A registry never says "not found" to a registration, so this is a failure.
            Outcome::PeerNotFound => self.failed("peer_not_found".to_owned(), now_ms, rng),
        }
    }

    fn failed(&mut self, reason: String, now_ms: i64, rng: &mut impl Rng) -> Option<Notice> {
        self.at_ms = now_ms.saturating_add(self.next_backoff_ms(rng));
        self.register_if_lapsed();
        self.is_new(Trouble::Unreachable { reason })
            .then_some(Notice::Unreachable)
    }

    fn accepted(&mut self, terms: Terms, now_ms: i64, rng: &mut impl Rng) -> Notice {
        self.interval_ms = terms.interval_ms();
        self.lease_ms = terms.lease_ms();
        self.lease_until_ms = Some(now_ms.saturating_add(self.lease_ms));
        self.is_lapsed = false;
        self.failures = 0;
        self.trouble = None;
        self.at_ms = now_ms.saturating_add(around(self.interval_ms, rng));
        match self.cause.take() {
            Some(Cause::Start | Cause::Update | Cause::Replacement) => Notice::Registered,
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
        let is_new = self.trouble.as_ref() != Some(&trouble);
        self.trouble = Some(trouble);
        is_new
    }
}

#[cfg(test)]
mod tests;
