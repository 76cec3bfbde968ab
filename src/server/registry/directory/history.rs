//! The earlier registrations of a peer, to notice nodes that register with the same key in turn.

/// The number of earlier registrations that are kept, so that up to four nodes with one key are
/// noticed.
const KEPT: usize = 3;

/// The earlier registrations of a peer. Most peers have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History(Option<Box<Earlier>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Earlier {
    /// The registrations that were replaced last, each once, the latest first.
    replaced: [Replaced; KEPT],
    /// When a registration last came back, in Unix milliseconds.
    came_back_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replaced {
    digest: u64,
    /// When, in Unix milliseconds.
    at_ms: i64,
}

/// A time that is longer ago than any lease lasts.
const NEVER_MS: i64 = i64::MIN;

impl History {
    /// The memory of a history that is not empty, in bytes.
    pub(crate) const BYTES: usize = size_of::<Earlier>() + 16;

    /// Records that another registration replaces the one with the digest `before`. Returns whether
    /// the new one, with the digest `after`, was itself replaced not longer than a lease ago.
    pub(crate) fn replace(&mut self, before: u64, after: u64, now_ms: i64, lease_ms: i64) -> bool {
        if before == after {
            return false;
        }
        let earlier = self.0.get_or_insert_with(|| {
            Box::new(Earlier {
                replaced: [Replaced {
                    digest: 0,
                    at_ms: NEVER_MS,
                }; KEPT],
                came_back_ms: NEVER_MS,
            })
        });
        let replaced = &mut earlier.replaced;
        let comes_back = replaced
            .iter()
            .any(|it| it.digest == after && is_within(it.at_ms, now_ms, lease_ms));
        // The place of the one that is replaced now, if it was before, or else of the oldest.
        let place = replaced.iter().position(|it| it.digest == before);
        replaced[..=place.unwrap_or(KEPT - 1)].rotate_right(1);
        replaced[0] = Replaced {
            digest: before,
            at_ms: now_ms,
        };
        if comes_back {
            earlier.came_back_ms = now_ms;
        }
        comes_back
    }

    /// Whether a registration came back not longer than a lease ago.
    pub(crate) fn alternates(&self, now_ms: i64, lease_ms: i64) -> bool {
        let earlier = self.0.as_ref();
        earlier.is_some_and(|earlier| is_within(earlier.came_back_ms, now_ms, lease_ms))
    }

    /// Its memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |_| Self::BYTES)
    }
}

fn is_within(at_ms: i64, now_ms: i64, lease_ms: i64) -> bool {
    now_ms.saturating_sub(at_ms) <= lease_ms
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
        let four = register(&[1, 2, 3, 4, 1, 2, 3, 4], 60_000);
        assert_eq!(four[3..], [true; 4]);
    }

    #[test]
    fn a_node_that_changes_what_it_announces_is_not_taken_for_two() {
        assert!(!register(&[1, 2, 3, 4, 5, 6], 1).contains(&true));
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
}
