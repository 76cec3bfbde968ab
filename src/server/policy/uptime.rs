//! How a start continues the leases where the last process left them.

use super::lease;
use crate::server::model::{Outage, ResumedLeases, Uptime};

/// Continues the leases at `now_ms`, and counts the time since the last sign of life as an outage.
///
/// If wall time was set back meanwhile, all times before now move back by the same amount, so
/// that each lease keeps its remaining time.
pub(crate) fn resume(before: Uptime, now_ms: i64, timeout_ms: i64) -> ResumedLeases {
    let Uptime {
        mut outages,
        alive_at_ms,
    } = before;
    let mut set_back_ms = 0;
    let mut credited = None;
    match alive_at_ms {
        Some(alive_at_ms) if alive_at_ms > now_ms => {
            set_back_ms = alive_at_ms - now_ms;
            for outage in &mut outages {
                outage.from_ms = outage.from_ms.saturating_sub(set_back_ms);
                outage.until_ms = outage.until_ms.saturating_sub(set_back_ms);
            }
        }
        Some(alive_at_ms) if alive_at_ms < now_ms => {
            let outage = Outage {
                from_ms: alive_at_ms,
                until_ms: now_ms,
            };
            outages.push(outage);
            credited = Some(outage);
        }
        Some(_) | None => {}
    }
    let mut outages = lease::disjoint(outages, now_ms);
    let cutoff_ms = lease::cutoff_ms(now_ms, timeout_ms, &outages);
    outages.retain(|outage| !lease::is_spent(outage, cutoff_ms));
    ResumedLeases {
        outages,
        credited,
        set_back_ms,
        cutoff_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 10_000_000;
    const TIMEOUT_MS: i64 = 600_000;

    fn outage(from_ms: i64, until_ms: i64) -> Outage {
        Outage { from_ms, until_ms }
    }

    fn resume_at_now(outages: &[Outage], alive_at_ms: Option<i64>) -> ResumedLeases {
        let before = Uptime {
            outages: outages.to_vec(),
            alive_at_ms,
        };
        resume(before, NOW_MS, TIMEOUT_MS)
    }

    #[test]
    fn the_first_start_credits_nothing() {
        let resumed = resume_at_now(&[], None);
        assert_eq!((resumed.credited, resumed.set_back_ms), (None, 0));
        assert_eq!(resumed.cutoff_ms, NOW_MS - TIMEOUT_MS);
    }

    #[test]
    fn the_time_since_the_last_sign_of_life_is_an_outage() {
        let resumed = resume_at_now(&[], Some(NOW_MS - 5_000));
        let since = outage(NOW_MS - 5_000, NOW_MS);
        assert_eq!(resumed.credited, Some(since));
        assert_eq!(resumed.outages, [since]);
        assert_eq!(resumed.cutoff_ms, NOW_MS - TIMEOUT_MS - 5_000);
    }

    #[test]
    fn wall_time_that_was_set_back_moves_outages_back_and_credits_nothing() {
        let recent = outage(NOW_MS + 100, NOW_MS + 200);
        let resumed = resume_at_now(&[recent], Some(NOW_MS + 1_000));
        assert_eq!((resumed.credited, resumed.set_back_ms), (None, 1_000));
        assert_eq!(resumed.outages, [outage(NOW_MS - 900, NOW_MS - 800)]);
    }

    #[test]
    fn outages_that_no_lease_can_feel_any_more_are_forgotten() {
        let old = outage(1_000, 2_000);
        assert_eq!(resume_at_now(&[old], Some(NOW_MS)).outages, []);
    }
}
