//! The limit on log lines of one kind, and the count of lines that could not be written.
//!
//! Anyone may register at any rate, and each registration is logged at info. Without a limit a
//! stranger could fill the operator's disk.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum number of lines of one kind in a window: enough to see what happens.
pub const MAX_LINES_PER_WINDOW: u32 = 20;

/// How long a window lasts, in milliseconds.
pub const WINDOW_MS: i64 = 10_000;

/// The process has one log, so it has one count.
static DROPPED_LINES: AtomicU64 = AtomicU64::new(0);

/// Counts lines that could not be written. The code that writes the log calls it.
pub fn count_dropped(lines: u64) {
    DROPPED_LINES.fetch_add(lines, Ordering::Relaxed);
}

/// Lines that could not be written since the process started, because nobody read them or the disk
/// was full.
pub fn dropped() -> u64 {
    DROPPED_LINES.load(Ordering::Relaxed)
}

/// Limits lines of one kind: the first ones of each window are written, the others only counted.
///
/// A window begins with a line. The caller passes the time.
#[derive(Clone, Copy, Debug)]
pub struct LineLimit {
    max_lines: u32,
    window_ms: i64,
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    from_ms: i64,
    written: u32,
    left_out: u64,
}

/// What [`LineLimit::admit`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Whether the line may be written.
    pub is_admitted: bool,
    /// Lines left out in the previous window, if it has just ended. Report them before the line.
    pub left_out: Option<NonZeroU64>,
}

impl Default for LineLimit {
    fn default() -> Self {
        Self::new(MAX_LINES_PER_WINDOW, WINDOW_MS)
    }
}

impl LineLimit {
    /// Admits at most `max_lines` lines in `window_ms` milliseconds.
    pub const fn new(max_lines: u32, window_ms: i64) -> Self {
        Self {
            max_lines,
            window_ms,
            window: None,
        }
    }

    /// Decides about a line at `now_ms`.
    pub fn admit(&mut self, now_ms: i64) -> Admission {
        let left_out = self.end_window(now_ms);
        let window = self.window.get_or_insert(Window {
            from_ms: now_ms,
            written: 0,
            left_out: 0,
        });
        let is_admitted = window.written < self.max_lines;
        if is_admitted {
            window.written += 1;
        } else {
            window.left_out += 1;
        }
        Admission {
            is_admitted,
            left_out,
        }
    }

    /// Ends the window if its time is over, and returns how many lines it left out.
    ///
    /// Call it from time to time, so that the count is reported even if no other line follows.
    pub fn end_window(&mut self, now_ms: i64) -> Option<NonZeroU64> {
        let Window {
            from_ms, left_out, ..
        } = self.window?;
        // A clock that was set back must not keep a window open for a long time.
        if (from_ms..from_ms.saturating_add(self.window_ms)).contains(&now_ms) {
            return None;
        }
        self.window = None;
        NonZeroU64::new(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends lines at `now_ms`; returns how many were admitted, and the reported counts of lines that
    /// were left out.
    fn send(limit: &mut LineLimit, lines: u32, now_ms: i64) -> (usize, Vec<u64>) {
        let all: Vec<_> = (0..lines).map(|_| limit.admit(now_ms)).collect();
        let admitted = all.iter().filter(|line| line.is_admitted).count();
        let reported = all.iter().filter_map(|line| line.left_out);
        (admitted, reported.map(NonZeroU64::get).collect())
    }

    #[test]
    fn a_storm_is_a_few_lines_and_a_count() {
        let mut limit = LineLimit::new(20, 10_000);
        assert_eq!(send(&mut limit, 15, 1_000), (15, vec![]));
        assert_eq!(send(&mut limit, 1_985, 10_999), (5, vec![]));
        assert_eq!(limit.end_window(10_999), None);
        assert_eq!(limit.end_window(11_000), NonZeroU64::new(1_980));
        assert_eq!(limit.end_window(11_000), None, "it is reported once");
    }

    #[test]
    fn a_storm_that_goes_on_reports_its_count_with_the_next_line() {
        let mut limit = LineLimit::new(2, 10_000);
        assert_eq!(send(&mut limit, 7, 0), (2, vec![]));
        assert_eq!(send(&mut limit, 7, 10_000), (2, vec![5]));
        assert_eq!(send(&mut limit, 1, 60_000), (1, vec![5]));
    }

    #[test]
    fn lines_within_the_limit_are_not_counted() {
        let mut limit = LineLimit::new(2, 10_000);
        for now_ms in [0, 5_000, 10_000, 15_000] {
            assert_eq!(send(&mut limit, 1, now_ms), (1, vec![]));
        }
        assert_eq!(limit.end_window(i64::MAX), None);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_window() {
        let mut limit = LineLimit::new(1, 10_000);
        assert_eq!(send(&mut limit, 3, 1_000_000), (1, vec![]));
        assert_eq!(send(&mut limit, 1, 1_000), (1, vec![2]));
    }
}
