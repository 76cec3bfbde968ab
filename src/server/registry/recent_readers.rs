//! Remembers who has just listed peers, for the modes that save traffic.

use std::collections::HashMap;

/// A reader that lists peers again within this time is a repeated one, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The max number of readers that are remembered, about 2 MiB.
const MAX_READERS: usize = 1 << 16;

/// The min time between two searches for readers that can be forgotten, in milliseconds. A search
/// takes some 0.5 ms.
const SWEEP_INTERVAL_MS: i64 = 1_000;

/// The readers that had a full listing within the last minute.
#[derive(Debug, Default)]
pub(crate) struct RecentReaders {
    last_full_ms: HashMap<u64, i64>,
    swept_ms: i64,
}

impl RecentReaders {
    /// Whether `reader` had a full listing within the last minute. If not, it gets one now. While the
    /// table is full of others, a new reader counts as a repeated one: the mode is there to save
    /// traffic.
    pub(crate) fn is_repeated(&mut self, reader: u64, now_ms: i64) -> bool {
        let is_recent = |last_ms: i64| (0..WINDOW_MS).contains(&(now_ms - last_ms));
        if self
            .last_full_ms
            .get(&reader)
            .is_some_and(|last| is_recent(*last))
        {
            return true;
        }
        if self.last_full_ms.len() >= MAX_READERS {
            if (0..SWEEP_INTERVAL_MS).contains(&(now_ms - self.swept_ms)) {
                return true;
            }
            self.swept_ms = now_ms;
            self.last_full_ms.retain(|_, last| is_recent(*last));
            if self.last_full_ms.len() >= MAX_READERS {
                return true;
            }
        }
        self.last_full_ms.insert(reader, now_ms);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_repeated_for_a_minute() {
        let mut readers = RecentReaders::default();
        assert!(!readers.is_repeated(1, 0));
        assert!(readers.is_repeated(1, 59_999));
        assert!(!readers.is_repeated(2, 59_999));
        assert!(!readers.is_repeated(1, 60_000));
        // After a step back of the clock nobody waits for the old time.
        assert!(!readers.is_repeated(1, 10_000));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_after_a_minute() {
        let mut readers = RecentReaders::default();
        for reader in 0..MAX_READERS as u64 {
            assert!(!readers.is_repeated(reader, 0));
        }
        assert!(readers.is_repeated(u64::MAX, 30_000));
        assert_eq!(readers.last_full_ms.len(), MAX_READERS);
        assert!(!readers.is_repeated(u64::MAX, 60_000));
        assert_eq!(readers.last_full_ms.len(), 1);
    }
}
