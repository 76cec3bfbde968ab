//! Waits until the clock of the machine shows a plausible time.

use std::time::Duration;

use log::warn;

use super::error::StartError;
use crate::clock::{Clock, SystemClock, rfc3339};

/// 2020-01-01 and 2100-01-01, in Unix milliseconds. A machine without a battery starts in 1970, or
/// at the time of its manufacture; a clock that starts far in the future would end every lease.
const PLAUSIBLE_MS: std::ops::Range<i64> = 1_577_836_800_000..4_102_444_800_000;

/// How long a start waits for the clock to be set.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The pause between two checks of the clock.
const INTERVAL: Duration = Duration::from_millis(250);

/// Starts a clock as soon as the machine shows a plausible time.
///
/// # Errors
/// The machine's clock does not show one within five seconds.
pub async fn system_clock() -> Result<SystemClock, StartError> {
    let mut waited = Duration::ZERO;
    loop {
        let clock = SystemClock::start();
        match check(&clock) {
            Err(error) if waited >= MAX_WAIT => return Err(error),
            Err(error) if waited.is_zero() => warn!("{error}; waiting for it to be set"),
            Err(_) => {}
            Ok(()) => return Ok(clock),
        }
        tokio::time::sleep(INTERVAL).await;
        waited += INTERVAL;
    }
}

/// Checks that a clock shows a year in which a registry can run.
pub(crate) fn check(clock: &dyn Clock) -> Result<(), StartError> {
    let now_ms = clock.now_ms();
    if PLAUSIBLE_MS.contains(&now_ms) {
        Ok(())
    } else {
        Err(StartError::Clock {
            now: rfc3339(now_ms),
        })
    }
}
