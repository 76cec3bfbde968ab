//! How long to pause: jitter, so that nodes drift apart, and backoff, which grows with failures.
//!
//! Pure: the random number generator is a parameter.

use rand::{Rng, RngExt};

/// The upper bound of the first pause after a failure, in milliseconds.
const BACKOFF_BASE_MS: i64 = 1_000;
/// The bound of each further pause is this many times the one before.
///
/// Nodes notice an outage at their own heartbeats. At its end they are at different stages of the
/// backoff, and each short stage adds as many requests per second as all heartbeats together. After
/// the worst outage, of 90 s, a factor of 2 brings 6.0 % of the nodes in one second, 3 brings
/// 4.7 %, 5 brings 3.5 %.
const BACKOFF_FACTOR: i64 = 5;
/// Waits of at least this long are spread over the whole heartbeat interval, in milliseconds.
const LONG_WAIT_MS: i64 = 10_000;
/// The jitter is at most the period divided by this.
const JITTER_DIVISOR: i64 = 10;

/// `period_ms` plus or minus up to a tenth, so that nodes that start together drift apart.
pub(crate) fn around(period_ms: i64, rng: &mut impl Rng) -> i64 {
    let max_jitter_ms = period_ms / JITTER_DIVISOR;
    period_ms.saturating_add(rng.random_range(-max_jitter_ms..=max_jitter_ms))
}

/// Full jitter: anything from zero to a bound that grows with `failures` up to the heartbeat
/// interval. In a long outage, nodes spread over the interval as evenly as their heartbeats do.
pub(crate) fn backoff_ms(failures: u32, interval_ms: i64, rng: &mut impl Rng) -> i64 {
    let bound_ms = BACKOFF_FACTOR
        .saturating_pow(failures)
        .saturating_mul(BACKOFF_BASE_MS)
        .min(interval_ms);
    rng.random_range(0..=bound_ms)
}

/// How much longer to wait than the registry says.
///
/// A registry may tell all nodes the same time, e.g. the end of a maintenance. Spread over the
/// heartbeat interval, they send no more requests per second than at any other time. Only few
/// nodes get a wait of some seconds, so it is spread over its own length.
pub(crate) fn spread_ms(wait_ms: i64, interval_ms: i64, rng: &mut impl Rng) -> i64 {
    let bound_ms = match wait_ms {
        LONG_WAIT_MS.. => interval_ms,
        _ => wait_ms.clamp(0, interval_ms),
    };
    rng.random_range(0..=bound_ms)
}
