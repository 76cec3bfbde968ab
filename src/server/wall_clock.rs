//! The clock of the machine, once it tells a time that can be.

use std::time::Duration;

use log::warn;

use super::error::StartError;
use crate::clock::{Clock, SystemClock, rfc3339};

/// 2020-01-01 and 2100-01-01, in Unix milliseconds. A machine without a battery begins in 1970, or
/// wherever its clock stood when it was made; one that begins far ahead would end every lease.
const PLAUSIBLE_MS: std::ops::Range<i64> = 1_577_836_800_000..4_102_444_800_000;

/// How long a start waits for the clock to be set, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(250);

/// Starts a clock as soon as the machine knows what time it is.
///
/// # Errors
/// If the machine does not know it within some seconds.
pub async fn system_clock() -> Result<SystemClock, StartError> {
    let mut waited = Duration::ZERO;
    loop {
        let clock = SystemClock::start();
        match check(&clock) {
            Err(error) if waited >= PATIENCE => return Err(error),
            Err(error) if waited.is_zero() => warn!("{error}; waiting for it to be set"),
            Err(_) => {}
            Ok(()) => return Ok(clock),
        }
        tokio::time::sleep(INTERVAL).await;
        waited += INTERVAL;
    }
}

/// Holds a clock to the years in which a registry can run.
pub(super) fn check(clock: &dyn Clock) -> Result<(), StartError> {
    let now_ms = clock.now_ms();
    if PLAUSIBLE_MS.contains(&now_ms) {
        Ok(())
    } else {
        Err(StartError::Clock {
            now: rfc3339(now_ms),
        })
    }
}
