//! Counts and logs why the server closed connections that their clients had not closed. The log has
//! a limited rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enum_map::{Enum, EnumMap};
use log::warn;
use tokio::time::Instant;

use crate::clock::timer_now;

/// The minimum time between two log lines with the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why the server closed a connection.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its address has the maximum number of connections.
    AddressCap,
    /// It had been idle or slow for longest when a new connection needed its place.
    Evicted,
    /// It was new, and the server was handling requests on all connections in the table.
    NoPlace,
    /// The head of its request was too long.
    HeadTooLarge,
    /// The head of its request did not arrive in time.
    SlowHead,
    /// Its client did not receive a response in time, or too many responses waited for slow clients
    /// and this one had begun first.
    SlowReader,
    /// It sent a long request while all memory for incomplete requests was in use.
    InputBudget,
    /// actix-http could not parse what its client sent.
    NotHttp,
}

impl Reason {
    /// A stable name for metrics.
    #[expect(dead_code, reason = "the metrics will show it")]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AddressCap => "address_cap",
            Self::Evicted => "evicted",
            Self::NoPlace => "no_place",
            Self::HeadTooLarge => "head_too_large",
            Self::SlowHead => "slow_head",
            Self::SlowReader => "slow_reader",
            Self::InputBudget => "input_budget",
            Self::NotHttp => "not_http",
        }
    }

    /// The log line after the number of connections.
    const fn log_text(self) -> &'static str {
        match self {
            Self::AddressCap => {
                "refused: their address has the maximum number of connections \
                 (MAX_CONNECTIONS_PER_ADDRESS)"
            }
            Self::Evicted => {
                "closed for new ones: they were idle or slow for longest (MAX_CONNECTIONS)"
            }
            Self::NoPlace => "refused: all other connections were being served (MAX_CONNECTIONS)",
            Self::HeadTooLarge => "closed: a request head was too long (MAX_HEAD_BYTES)",
            Self::SlowHead => "closed: a request head did not arrive in time",
            Self::SlowReader => "closed: a response was not received in time",
            Self::InputBudget => "closed: half-received requests use all memory for them",
            Self::NotHttp => {
                "closed: what they sent is not well-formed HTTP/1.1 (is it https, or a proxy protocol?)"
            }
        }
    }
}

/// The number of connections closed since the process started, by reason.
#[derive(Debug)]
pub(crate) struct Closed {
    started: Instant,
    tallies: EnumMap<Reason, Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    closed: AtomicU64,
    /// How many of them were logged.
    logged: AtomicU64,
    /// When the next line may be logged, in milliseconds since the start.
    next_line_ms: AtomicU64,
}

impl Closed {
    pub(crate) fn new() -> Self {
        Self {
            started: timer_now(),
            tallies: Default::default(),
        }
    }

    /// Returns how many connections were closed for `reason`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.tallies[reason].closed.load(Ordering::Relaxed)
    }

    /// Adds `count` closed connections, and logs them if a line is due.
    pub(crate) fn add(&self, reason: Reason, count: u64) {
        let tally = &self.tallies[reason];
        // Relaxed is enough everywhere: no other memory depends on these counters.
        let closed = tally.closed.fetch_add(count, Ordering::Relaxed) + count;
        let now_ms = ms_since(self.started, timer_now());
        let next_line_ms = tally.next_line_ms.load(Ordering::Relaxed);
        if now_ms < next_line_ms {
            return;
        }
        let following_ms = now_ms + LOG_INTERVAL.as_millis() as u64;
        // Several workers can get here at once. Only the one that sets the next time logs.
        let exchanged = tally.next_line_ms.compare_exchange(
            next_line_ms,
            following_ms,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if exchanged.is_ok() {
            let before = tally.logged.swap(closed, Ordering::Relaxed);
            let count = closed.saturating_sub(before);
            warn!("{count} connections {}", reason.log_text());
        }
    }
}

/// Returns the milliseconds from `start` to `time`, or 0 if `time` is earlier.
pub(crate) fn ms_since(start: Instant, time: Instant) -> u64 {
    let passed = time.saturating_duration_since(start);
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}
