//! The earlier registrations of a peer, to notice nodes that register with the same key in turn.

/// The number of earlier registrations and TURN offers that are kept, so that up to 13 nodes with one
/// key are noticed, or six that also offer to relay.
const KEPT: usize = 12;

/// The earlier registrations and TURN offers of a peer. Most peers have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History(Option<Box<Earlier>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Earlier {
    /// What was replaced last, each once, the latest first.
    replaced: [Replaced; KEPT],
    /// When the history began, in Unix milliseconds.
    since_ms: i64,
    /// When one of them last came back, in Unix milliseconds.
    came_back_ms: i64,
}

/// Small, because each peer that changes has twelve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replaced {
    /// Half of the digest. That two of these are equal by chance is as rare as one in 4,000 million.
    digest: u32,
    /// When, in milliseconds since the history began; `NOT_YET` in an unused place.
    at_ms: u32,
}

const NOT_YET: u32 = u32::MAX;

/// A time that is longer ago than any lease lasts.
const NEVER_MS: i64 = i64::MIN;

/// A history begins anew after this time, 24 days, so that its times stay small.
const MAX_AGE_MS: i64 = i32::MAX as i64;

impl Earlier {
    fn new(now_ms: i64) -> Self {
        let unused = Replaced {
            digest: 0,
            at_ms: NOT_YET,
        };
        Self {
            replaced: [unused; KEPT],
            since_ms: now_ms,
            came_back_ms: NEVER_MS,
        }
    }

    fn replace(&mut self, before: u32, after: u32, now_ms: i64, lease_ms: i64) -> bool {
        let now = u32::try_from(now_ms.saturating_sub(self.since_ms)).unwrap_or(0);
        let replaced = &mut self.replaced;
        let comes_back = replaced.iter().any(|it| {
            let ago_ms = i64::from(now.saturating_sub(it.at_ms));
            it.at_ms != NOT_YET && it.digest == after && ago_ms <= lease_ms
        });
        // The place of the one that is replaced now, if it was before, or else of the oldest.
        let place = replaced
            .iter()
            .position(|it| it.at_ms != NOT_YET && it.digest == before);
        replaced[..=place.unwrap_or(KEPT - 1)].rotate_right(1);
        replaced[0] = Replaced {
            digest: before,
            at_ms: now,
        };
        if comes_back {
            self.came_back_ms = now_ms;
        }
        comes_back
    }
}

impl History {
    /// The memory of a history that is not empty, in bytes.
    pub(crate) const BYTES: usize = size_of::<Earlier>() + 16;

    /// Records that another registration, or TURN offer, replaces the one with the digest `before`.
    /// Returns whether the new one, with the digest `after`, was itself replaced not longer than a lease
    /// ago.
    pub(crate) fn replace(&mut self, before: u64, after: u64, now_ms: i64, lease_ms: i64) -> bool {
        if before == after {
            return false;
        }
        let earlier = self.0.get_or_insert_with(|| Box::new(Earlier::new(now_ms)));
        if now_ms.saturating_sub(earlier.since_ms) > MAX_AGE_MS {
            **earlier = Earlier::new(now_ms);
        }
        earlier.replace(before as u32, after as u32, now_ms, lease_ms)
    }

    /// Whether a registration came back not longer than a lease ago.
    pub(crate) fn alternates(&self, now_ms: i64, lease_ms: i64) -> bool {
        let earlier = self.0.as_ref();
        earlier.is_some_and(|it| now_ms.saturating_sub(it.came_back_ms) <= lease_ms)
    }

    /// Its memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |_| Self::BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE_MS: i64 = 600_000;

    /// Registers each digest, a minute apart. Returns for each whether it came back.
    fn register(digests: &[u64], pause_ms: i64) -> Vec<bool> {
        let mut history = History::default();
        let pairs = digests.windows(2).zip(1..);
        pairs
            .map(|(pair, at)| history.replace(pair[0], pair[1], at * pause_ms, LEASE_MS))
            .collect()
    }

    #[test]
    fn nodes_that_register_in_turn_are_noticed() {
        assert_eq!(register(&[1, 2, 1, 2], 60_000), [false, true, true]);
        let three = [false, false, true, true, true, true];
        assert_eq!(register(&[1, 2, 3, 1, 2, 3, 1], 60_000), three);
        for nodes in [4, 5, 13] {
            let digests: Vec<_> = (1..=nodes).chain(1..=nodes).collect();
            let came_back = register(&digests, 1000);
            let first = usize::try_from(nodes).unwrap() - 1;
            assert!(!came_back[..first].contains(&true), "{nodes}");
            assert!(!came_back[first..].contains(&false), "{nodes}");
        }
    }

    #[test]
    fn a_node_that_changes_what_it_announces_is_not_taken_for_two() {
        let all: Vec<_> = (1..100).collect();
        assert!(!register(&all, 1).contains(&true));
        assert!(!register(&[1, 1, 1, 2, 2, 2], 1).contains(&true));
        assert!(!register(&[1, 2, 1, 2], LEASE_MS + 1).contains(&true));
        assert_eq!(register(&[1, 2, 1], LEASE_MS), [false, true]);
    }

    #[test]
    fn the_warning_lasts_for_a_lease() {
        let mut history = History::default();
        assert!(!history.alternates(0, LEASE_MS));
        history.replace(1, 2, 10, LEASE_MS);
        assert!(!history.alternates(10, LEASE_MS));
        history.replace(2, 1, 20, LEASE_MS);
        assert!(history.alternates(20 + LEASE_MS, LEASE_MS));
        assert!(!history.alternates(21 + LEASE_MS, LEASE_MS));
    }

    #[test]
    fn a_history_begins_anew_before_its_times_become_too_large() {
        let mut history = History::default();
        let step_ms = LEASE_MS - 1;
        let mut came_back = 0;
        for at in 0..10_000 {
            let (before, after) = if at % 2 == 0 { (1, 2) } else { (2, 1) };
            let is_back = history.replace(before, after, at * step_ms, LEASE_MS);
            came_back += usize::from(is_back);
        }
        // Two registrations are not recognised each time.
        assert!((9_990..10_000).contains(&came_back), "{came_back}");
    }
}
