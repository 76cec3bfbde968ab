//! A thread that logs when the actor or a commit is stuck, and at which step.
//!
//! It is a thread of its own because any other part of the server may be the stuck one.

use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::{error, info};

use super::registry::{Pulse, Stuck};
use crate::clock;

/// The time between two checks of the pulse.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// If more than this time has passed since the last check, in milliseconds, the check itself was
/// delayed: the process was stopped, or the machine was overloaded. Then nothing else could run
/// either, so the check is skipped.
const LATE_MS: i64 = 3_000;

/// The time between two log lines about a lasting problem, in milliseconds.
const REPEAT_MS: i64 = 10_000;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to watch `pulse`. If the system cannot start a thread, the registry runs without a
    /// watchdog.
    pub(crate) fn start(pulse: Arc<Pulse>) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let watch = move || {
            let mut watch = Watch::new(clock::machine_ms());
            while stopped.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let now_ms = clock::machine_ms();
                match watch.look(pulse.health(now_ms), now_ms) {
                    Some(Report::Stuck(stuck)) => error!("the registry is stuck: {stuck}"),
                    Some(Report::GoesOn { after_ms }) => {
                        info!(
                            "the registry makes progress again after {} s",
                            after_ms / 1000
                        );
                    }
                    None => {}
                }
            }
        };
        let thread = thread::Builder::new().name("watchdog".to_owned());
        let thread = match thread.spawn(watch) {
            Ok(thread) => Some(thread),
            Err(error) => {
                error!("cannot start the watchdog, running without it: {error}");
                None
            }
        };
        Self {
            stop: Some(stop),
            thread,
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It returns nothing, and if it panicked, that was logged.
            let _ = thread.join();
        }
    }
}

/// What there is to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Stuck(Stuck),
    GoesOn { after_ms: i64 },
}

/// The result of the checks before, so that a change is logged at once, and a lasting problem only
/// every [`REPEAT_MS`].
#[derive(Debug)]
struct Watch {
    looked_ms: i64,
    stuck: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since_ms: i64,
    logged_ms: i64,
}

impl Watch {
    fn new(now_ms: i64) -> Self {
        Self {
            looked_ms: now_ms,
            stuck: None,
        }
    }

    fn look(&mut self, health: Result<(), Stuck>, now_ms: i64) -> Option<Report> {
        let since_look_ms = now_ms - mem::replace(&mut self.looked_ms, now_ms);
        if since_look_ms > LATE_MS {
            return None;
        }
        let Err(stuck) = health else {
            let seen = self.stuck.take()?;
            return Some(Report::GoesOn {
                after_ms: now_ms - seen.since_ms,
            });
        };
        let seen = self.stuck.get_or_insert_with(|| {
            let age = match stuck {
                Stuck::Actor { silent_for, .. } => silent_for,
                Stuck::Commit { running_for } => running_for,
            };
            let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            Seen {
                since_ms: now_ms.saturating_sub(age_ms),
                logged_ms: now_ms - REPEAT_MS,
            }
        });
        if now_ms - seen.logged_ms < REPEAT_MS {
            return None;
        }
        seen.logged_ms = now_ms;
        Some(Report::Stuck(stuck))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running_since(since_ms: i64, now_ms: i64) -> Stuck {
        let running_for = Duration::from_millis((now_ms - since_ms) as u64);
        Stuck::Commit { running_for }
    }

    #[test]
    fn what_is_stuck_is_logged_at_once_and_then_every_ten_seconds() {
        let mut watch = Watch::new(5_000);
        let mut logged_secs = Vec::new();
        for now_ms in (6_000..=40_000).step_by(1_000) {
            let stuck = running_since(0, now_ms);
            match watch.look(Err(stuck), now_ms) {
                Some(report) => {
                    assert_eq!(report, Report::Stuck(stuck));
                    logged_secs.push(now_ms / 1000);
                }
                None => continue,
            }
        }
        assert_eq!(logged_secs, [6, 16, 26, 36]);
    }

    #[test]
    fn that_it_goes_on_is_logged_once_with_how_long_it_stood_still() {
        let mut watch = Watch::new(5_000);
        assert_eq!(watch.look(Ok(()), 6_000), None);
        watch.look(Err(running_since(1_000, 7_000)), 7_000);
        watch.look(Err(running_since(1_000, 8_000)), 8_000);
        let goes_on = Report::GoesOn { after_ms: 8_000 };
        assert_eq!(watch.look(Ok(()), 9_000), Some(goes_on));
        assert_eq!(watch.look(Ok(()), 10_000), None);
    }

    #[test]
    fn a_process_that_was_stopped_and_goes_on_is_not_called_stuck() {
        let mut watch = Watch::new(0);
        assert_eq!(watch.look(Ok(()), 1_000), None);
        assert_eq!(watch.look(Err(running_since(500, 90_000)), 90_000), None);
        assert_eq!(watch.look(Ok(()), 91_000), None);
    }

    #[test]
    fn a_watchdog_that_is_dropped_ends_at_once() {
        drop(Watchdog::start(Arc::new(Pulse::new(0))));
    }
}
