//! Why the server closed connections that their clients wanted to keep: counted, and said in the
//! log at a bounded rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::warn;
use tokio::time::Instant;

use crate::clock::timer_now;

/// How often the log names a reason at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its address has as many connections as one address may have.
    AddressCap,
    /// It was idle or slow for longest when there was no place for a new one.
    Evicted,
    /// It was new, there was no place, and all others were being served.
    NoPlace,
    /// The head of its request was too long.
    HeadTooLarge,
    /// The head of its request did not arrive in time.
    SlowHead,
    /// It did not receive its response in time, or held up most among those that did not.
    SlowReader,
    /// It sent more than a little while all memory for half-received requests was in use.
    InputBudget,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 7] = [
        Self::AddressCap,
        Self::Evicted,
        Self::NoPlace,
        Self::HeadTooLarge,
        Self::SlowHead,
        Self::SlowReader,
        Self::InputBudget,
    ];

    /// A stable word for metrics.
    #[expect(dead_code, reason = "the metrics will show it")]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressCap => "address_cap",
            Self::Evicted => "evicted",
            Self::NoPlace => "no_place",
            Self::HeadTooLarge => "head_too_large",
            Self::SlowHead => "slow_head",
            Self::SlowReader => "slow_reader",
            Self::InputBudget => "input_budget",
        }
    }

    /// What the log says about such connections.
    const fn in_words(self) -> &'static str {
        match self {
            Self::AddressCap => {
                "refused, as their address has as many as it may \
                 (MAX_CONNECTIONS_PER_ADDRESS)"
            }
            Self::Evicted => "closed, idle or slow for longest, for new ones (MAX_CONNECTIONS)",
            Self::NoPlace => "refused, as all others were being served (MAX_CONNECTIONS)",
            Self::HeadTooLarge => "closed over a request head that was too long (MAX_HEAD_BYTES)",
            Self::SlowHead => "closed over a request head that did not arrive in time",
            Self::SlowReader => "closed over a response that was not received in time",
            Self::InputBudget => "closed, as half-received requests use all memory for them",
        }
    }
}

/// How many connections were closed for which reason, since the process started.
#[derive(Debug)]
pub struct Closed {
    started: Instant,
    tallies: [Tally; Reason::ALL.len()],
}

#[derive(Debug, Default)]
struct Tally {
    closed: AtomicU64,
    /// How many of them the log has told of.
    logged: AtomicU64,
    /// From when on the log may tell of more, in milliseconds since the start.
    quiet_until_ms: AtomicU64,
}

impl Closed {
    pub fn new() -> Self {
        Self {
            started: timer_now(),
            tallies: Default::default(),
        }
    }

    /// How many were closed for `reason`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub fn count(&self, reason: Reason) -> u64 {
        self.tallies[reason as usize].closed.load(Ordering::Relaxed)
    }

    /// Counts some more.
    pub fn add(&self, reason: Reason, count: u64) {
        let tally = &self.tallies[reason as usize];
        let closed = tally.closed.fetch_add(count, Ordering::Relaxed) + count;
        let now_ms = ms_since(self.started, timer_now());
        let quiet_until_ms = tally.quiet_until_ms.load(Ordering::Relaxed);
        if now_ms < quiet_until_ms {
            return;
        }
        let next_ms = now_ms + LOG_INTERVAL.as_millis() as u64;
        // Whoever of several workers sets the next moment writes the line.
        let is_mine = tally.quiet_until_ms.compare_exchange(
            quiet_until_ms,
            next_ms,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if is_mine.is_ok() {
            let before = tally.logged.swap(closed, Ordering::Relaxed);
            let count = closed.saturating_sub(before);
            warn!("{count} connections {}", reason.in_words());
        }
    }
}

/// Milliseconds from `start` to `moment`; 0 if it was before.
pub fn ms_since(start: Instant, moment: Instant) -> u64 {
    let passed = moment.saturating_duration_since(start);
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}
