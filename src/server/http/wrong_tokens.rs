//! Slows down clients that guess the operator's token, and logs their number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;

use crate::clock;
use crate::server::log_lines::LineLimit;

/// The maximum number of wrong tokens within [`WINDOW_MS`], of all clients together, that get 401;
/// further ones get 429. An operator who mistypes the token needs a few.
const MAX_WRONG: u32 = 10;

/// The length of a window in which wrong tokens are counted, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The time in which at most one line is logged, in milliseconds.
const LINE_WINDOW_MS: i64 = 10_000;

/// Counts the recent wrong tokens; clones share the counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrongTokens(Arc<Mutex<Counts>>);

impl WrongTokens {
    /// Counts a wrong token. Returns the seconds until the window ends if the maximum was exceeded.
    pub(crate) fn record(&self) -> Option<u64> {
        let recorded = self.counts().record(clock::machine_ms());
        if let Some(left_out) = recorded.left_out {
            log_count(left_out);
        }
        if recorded.is_first_line {
            log_count(1);
            // Logs the rest of this window when it ends, even if no other wrong token follows.
            let shared = self.clone();
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(LINE_WINDOW_MS.unsigned_abs())).await;
                if let Some(left_out) = shared.counts().end_line_window(clock::machine_ms()) {
                    log_count(left_out);
                }
            });
        }
        recorded.retry_after_secs
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_count(count: u64) {
    warn!("refused wrong admin tokens count={count}");
}

#[derive(Debug)]
struct Counts {
    from_ms: i64,
    wrong: u32,
    lines: LineLimit,
}

#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    retry_after_secs: Option<u64>,
    is_first_line: bool,
    left_out: Option<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            from_ms: 0,
            wrong: 0,
            lines: LineLimit::new(1, LINE_WINDOW_MS),
        }
    }
}

impl Counts {
    fn record(&mut self, now_ms: i64) -> Recorded {
        // A window begins with its first wrong token.
        if now_ms - self.from_ms >= WINDOW_MS || self.wrong == 0 {
            (self.from_ms, self.wrong) = (now_ms, 0);
        }
        self.wrong = self.wrong.saturating_add(1);
        let left_ms = self.from_ms + WINDOW_MS - now_ms;
        let line = self.lines.admit(now_ms);
        Recorded {
            retry_after_secs: (self.wrong > MAX_WRONG)
                .then(|| left_ms.unsigned_abs().div_ceil(1000)),
            is_first_line: line.is_admitted,
            left_out: line.left_out.map(Into::into),
        }
    }

    fn end_line_window(&mut self, now_ms: i64) -> Option<u64> {
        self.lines.end_window(now_ms).map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(counts: &mut Counts, wrong: usize, now_ms: i64) -> Vec<Option<u64>> {
        (0..wrong)
            .map(|_| counts.record(now_ms).retry_after_secs)
            .collect()
    }

    #[test]
    fn the_eleventh_wrong_token_within_a_minute_waits_for_the_end_of_the_minute() {
        let mut counts = Counts::default();
        assert_eq!(retries(&mut counts, 10, 5_000), [None; 10]);
        assert_eq!(retries(&mut counts, 2, 5_000), [Some(60); 2]);
        assert_eq!(retries(&mut counts, 1, 64_999), [Some(1)]);
        assert_eq!(retries(&mut counts, 11, 65_000)[9..], [None, Some(60)]);
    }

    #[test]
    fn ten_seconds_of_guesses_are_logged_as_one_line_and_a_count() {
        let mut counts = Counts::default();
        let first = counts.record(0);
        assert!(first.is_first_line && first.left_out.is_none());
        for now_ms in [0, 1, 9_999] {
            assert!(!counts.record(now_ms).is_first_line);
        }
        assert_eq!(counts.end_line_window(9_999), None);
        assert_eq!(counts.end_line_window(10_000), Some(3));
        assert!(counts.record(10_000).is_first_line);
    }
}
