//! When a lease runs out.
//!
//! A lease lasts for `timeout` of registry up-time: time in which the registry could not receive a
//! heartbeat does not count. Up-time is wall time minus the outages, so one time is the same for all
//! peers: the one after which exactly `timeout` of up-time has passed until now. It is the cutoff; a peer
//! that was last seen before it has expired.

use crate::server::model::{EARLIEST_MS, Outage};

/// The maximum number of outages. Beyond it, outages that touch are joined.
const MAX_OUTAGES: usize = 1000;

/// The cutoff at `now_ms`: a peer that was last seen before it has expired.
///
/// `outages` are disjoint and in order of time. The part of them after `now_ms` does not count:
/// while leases stand still, `now_ms` is a time in the past.
pub(crate) fn cutoff_ms(now_ms: i64, timeout_ms: i64, outages: &[Outage]) -> i64 {
    let mut time_ms = now_ms;
    let mut left_ms = timeout_ms;
    for outage in outages.iter().rev() {
        let up_ms = (time_ms - outage.until_ms).max(0);
        if up_ms > left_ms {
            break;
        }
        left_ms -= up_ms;
        time_ms = time_ms.min(outage.from_ms);
    }
    time_ms - left_ms
}

/// Whether a peer last seen at `last_seen_ms` has expired.
pub(crate) fn is_expired(last_seen_ms: i64, cutoff_ms: i64) -> bool {
    last_seen_ms < cutoff_ms
}

/// Whether `outage` can no longer affect any lease, given the present cutoff.
pub(crate) fn is_spent(outage: &Outage, cutoff_ms: i64) -> bool {
    outage.until_ms <= cutoff_ms
}

/// Puts outages in order, makes them disjoint and cuts them to the time from [`EARLIEST_MS`] to
/// `now_ms`. In a database they may be in any order and of any length, after a clock was wrong or an
/// operator edited them.
///
/// Outages that touch stay separate, since a peer may have been seen at the time between them; but
/// too many of them, as a crash loop leaves behind, are joined into one.
pub(crate) fn disjoint(mut outages: Vec<Outage>, now_ms: i64) -> Vec<Outage> {
    for outage in &mut outages {
        outage.from_ms = outage.from_ms.clamp(EARLIEST_MS, now_ms);
        outage.until_ms = outage.until_ms.clamp(EARLIEST_MS, now_ms);
    }
    outages.retain(|outage| outage.from_ms < outage.until_ms);
    outages.sort_unstable_by_key(|outage| outage.from_ms);
    join(&mut outages, |next, last| next.from_ms < last.until_ms);
    if outages.len() > MAX_OUTAGES {
        join(&mut outages, |next, last| next.from_ms == last.until_ms);
    }
    outages
}

/// Joins neighbouring outages that belong together.
fn join(outages: &mut Vec<Outage>, belong: fn(&Outage, &Outage) -> bool) {
    outages.dedup_by(|next, last| {
        let is_one = belong(next, last);
        if is_one {
            last.until_ms = last.until_ms.max(next.until_ms);
        }
        is_one
    });
}

/// When a lease renewed at `last_seen_ms` runs out unless it is renewed, in Unix milliseconds.
pub(crate) fn expires_at_ms(last_seen_ms: i64, timeout_ms: i64) -> i64 {
    last_seen_ms + timeout_ms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT_MS: i64 = 600_000;

    fn outage(from_ms: i64, until_ms: i64) -> Outage {
        Outage { from_ms, until_ms }
    }

    #[test]
    fn without_outages_the_cutoff_is_one_timeout_ago() {
        assert_eq!(cutoff_ms(1_000_000, TIMEOUT_MS, &[]), 400_000);
    }

    #[test]
    fn an_outage_within_the_lease_moves_the_cutoff_back_by_its_length() {
        let hour = outage(1_000_000, 4_600_000);
        assert_eq!(cutoff_ms(4_600_000, TIMEOUT_MS, &[hour]), 400_000);
        assert_eq!(cutoff_ms(5_199_999, TIMEOUT_MS, &[hour]), 999_999);
    }

    #[test]
    fn an_outage_made_good_no_longer_counts() {
        let hour = outage(1_000_000, 4_600_000);
        assert_eq!(cutoff_ms(5_200_000, TIMEOUT_MS, &[hour]), 1_000_000);
        assert_eq!(cutoff_ms(5_200_001, TIMEOUT_MS, &[hour]), 4_600_001);
        assert!(is_spent(&hour, 4_600_001));
        assert!(!is_spent(&hour, 4_599_999));
    }

    /// Leases may stand still at a time that an outage already covers.
    #[test]
    fn an_outage_counts_up_to_the_time_that_is_asked_for() {
        let hour = outage(1_000_000, 4_600_000);
        assert_eq!(cutoff_ms(1_000_000, TIMEOUT_MS, &[hour]), 400_000);
        assert_eq!(cutoff_ms(2_000_000, TIMEOUT_MS, &[hour]), 400_000);
        assert_eq!(cutoff_ms(900_000, TIMEOUT_MS, &[hour]), 300_000);
    }

    #[test]
    fn a_peer_is_active_to_the_last_millisecond_of_its_lease() {
        assert!(!is_expired(400_000, 400_000));
        assert!(is_expired(399_999, 400_000));
    }

    #[test]
    fn outages_at_impossible_times_are_cut_to_what_can_have_been() {
        let absurd = vec![
            outage(5_000, i64::MAX),
            outage(i64::MIN, EARLIEST_MS),
            outage(100, 300),
            outage(200, 400),
            outage(400, 500),
            outage(900, 700),
        ];
        assert_eq!(
            disjoint(absurd, 6_000),
            [outage(100, 400), outage(400, 500), outage(5_000, 6_000)]
        );
    }

    #[test]
    fn a_crash_loop_leaves_one_outage_behind() {
        let touching: Vec<_> = (0..5_000).map(|ms| outage(ms, ms + 1)).collect();
        assert_eq!(disjoint(touching[..1_000].to_vec(), 5_000).len(), 1_000);
        assert_eq!(disjoint(touching, 5_000), [outage(0, 5_000)]);
    }

    proptest! {
        /// Checks the definition the slow way: adds up the time that was not an outage.
        #[test]
        fn a_peer_expires_after_one_timeout_of_up_time_in_sum(
            steps in prop::collection::vec((0i64..400, 0i64..2000), 0..8),
            tail in 0i64..700,
            seen_at in 0usize..400,
        ) {
            let timeout_ms = 500;
            let mut now_ms = 0;
            let mut outages = Vec::new();
            for (up_ms, down_ms) in steps {
                now_ms += up_ms;
                outages.push(outage(now_ms, now_ms + down_ms));
                now_ms += down_ms;
            }
            now_ms += tail;
            // A time at which the registry worked, so that it can have received a heartbeat.
            let mut last_seen_ms = i64::try_from(seen_at).unwrap() * now_ms / 400;
            for outage in &outages {
                if (outage.from_ms..outage.until_ms).contains(&last_seen_ms) {
                    last_seen_ms = outage.from_ms;
                }
            }
            let down_ms: i64 = outages
                .iter()
                .filter(|outage| outage.from_ms >= last_seen_ms)
                .map(|outage| outage.until_ms - outage.from_ms)
                .sum();
            let up_ms = now_ms - last_seen_ms - down_ms;
            let cutoff_ms = cutoff_ms(now_ms, timeout_ms, &outages);
            prop_assert_eq!(is_expired(last_seen_ms, cutoff_ms), up_ms > timeout_ms);
        }

        #[test]
        fn the_cutoff_never_goes_back(from in 0i64..900, down in 0i64..900, now in 1800i64..4000) {
            let outages = [outage(from, from + down)];
            prop_assert!(cutoff_ms(now, 500, &outages) <= cutoff_ms(now + 1, 500, &outages));
        }
    }
}
