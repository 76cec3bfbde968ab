//! The measurements and faults of a test, reported together at its end.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// The factor by which everything may be slower than promised. A debug build that shares a few
/// cores with its attackers is slower. `ATTACK_SLACK` sets another factor.
pub fn slack() -> u32 {
    let default = if cfg!(debug_assertions) { 6 } else { 1 };
    std::env::var("ATTACK_SLACK")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Reduces a count on a slower build or machine.
pub fn scaled(count: usize) -> usize {
    count / slack() as usize
}

/// Collects faults, so that a failed test reports all of them.
#[derive(Default)]
pub struct Verdict {
    measured: Vec<String>,
    faults: Vec<String>,
}

impl Verdict {
    /// Records a measurement to be printed.
    pub fn measured(&mut self, what: &str, value: impl Display) {
        self.measured.push(format!("{what} {value}"));
    }

    /// Adds a fault unless `holds`.
    pub fn check(&mut self, holds: bool, fault: impl Display) {
        if !holds {
            self.faults.push(fault.to_string());
        }
    }

    /// Fails the test if there is a fault.
    #[track_caller]
    pub fn finish(self) {
        let measured = self.measured.join("; ");
        eprintln!("measured: {measured}");
        assert!(
            self.faults.is_empty(),
            "{}\nmeasured: {measured}",
            self.faults.join("\n")
        );
    }
}

/// Polls `look` until it returns true, for at most `max`. Returns whether it did.
pub fn eventually(max: Duration, mut look: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if look() {
            return true;
        }
        if began.elapsed() > max {
            return false;
        }
        // Another process sends no event here, so poll.
        std::thread::sleep(Duration::from_millis(50));
    }
}
