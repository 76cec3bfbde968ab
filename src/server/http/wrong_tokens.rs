//! Slows down whoever guesses the operator's token, and tells the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::warn;

use crate::clock;
use crate::server::log_lines::LineLimit;

/// Wrong tokens within [`WINDOW_MS`], of all clients together, that are answered like any other. An
/// operator who mistypes needs a few.
const MAX_WRONG: u32 = 10;

/// How long wrong tokens are counted together, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// At most one line is written in this time, in milliseconds.
const LINE_WINDOW_MS: i64 = 10_000;

/// The wrong tokens of late; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct WrongTokens(Arc<Mutex<Counts>>);

impl WrongTokens {
    /// Notes a wrong token. Returns in how many seconds the next one is looked at, if there have
    /// been too many.
    pub(super) fn note(&self) -> Option<u64> {
        let noted = self.counts().note(clock::machine_ms());
        if let Some(left_out) = noted.left_out {
            tell(left_out);
        }
        if noted.is_first_line {
            tell(1);
            // The others of this window are told when it ends, also if nothing follows.
            let shared = self.clone();
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(LINE_WINDOW_MS.unsigned_abs())).await;
                if let Some(left_out) = shared.counts().end_line_window(clock::machine_ms()) {
                    tell(left_out);
                }
            });
        }
        noted.retry_after_secs
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(count: u64) {
    warn!("refused wrong admin tokens count={count}");
}

#[derive(Debug)]
struct Counts {
    from_ms: i64,
    wrong: u32,
    lines: LineLimit,
}

#[derive(Debug, PartialEq, Eq)]
struct Noted {
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
    fn note(&mut self, now_ms: i64) -> Noted {
        if now_ms - self.from_ms >= WINDOW_MS || self.wrong == 0 {
            (self.from_ms, self.wrong) = (now_ms, 0);
        }
        self.wrong = self.wrong.saturating_add(1);
        let left_ms = self.from_ms + WINDOW_MS - now_ms;
        let line = self.lines.admit(now_ms);
        Noted {
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
            .map(|_| counts.note(now_ms).retry_after_secs)
            .collect()
    }

    #[test]
    fn the_eleventh_within_a_minute_is_told_to_wait_for_its_end() {
        let mut counts = Counts::default();
        assert_eq!(retries(&mut counts, 10, 5_000), [None; 10]);
        assert_eq!(retries(&mut counts, 2, 5_000), [Some(60); 2]);
        assert_eq!(retries(&mut counts, 1, 64_999), [Some(1)]);
        assert_eq!(retries(&mut counts, 11, 65_000)[9..], [None, Some(60)]);
    }

    #[test]
    fn guesses_are_one_line_and_a_count_in_ten_seconds() {
        let mut counts = Counts::default();
        let first = counts.note(0);
        assert!(first.is_first_line && first.left_out.is_none());
        for now_ms in [0, 1, 9_999] {
            assert!(!counts.note(now_ms).is_first_line);
        }
        assert_eq!(counts.end_line_window(9_999), None);
        assert_eq!(counts.end_line_window(10_000), Some(3));
        assert!(counts.note(10_000).is_first_line);
    }
}
