//! What a test measured and what was wrong, told together at its end.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// How much longer than promised anything may take here. A build without optimisation and with
/// its attackers on the same few cores is slower than the promise is about; `ATTACK_SLACK` sets
/// another factor.
pub fn slack() -> u32 {
    let default = if cfg!(debug_assertions) { 6 } else { 1 };
    std::env::var("ATTACK_SLACK")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A count that a slower build or machine is given less of.
pub fn scaled(count: usize) -> usize {
    count / slack() as usize
}

/// Collects faults, so that a test that fails says all that is wrong.
#[derive(Default)]
pub struct Verdict {
    measured: Vec<String>,
    faults: Vec<String>,
}

impl Verdict {
    /// Notes what was measured, to be printed.
    pub fn measured(&mut self, what: &str, value: impl Display) {
        self.measured.push(format!("{what} {value}"));
    }

    /// Notes a fault unless `holds`.
    pub fn check(&mut self, holds: bool, fault: impl Display) {
        if !holds {
            self.faults.push(fault.to_string());
        }
    }

    /// Fails the test if there was a fault.
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

/// Looks until `look` says yes, for at most `most`; returns whether it did.
pub fn eventually(most: Duration, mut look: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if look() {
            return true;
        }
        if began.elapsed() > most {
            return false;
        }
        // What another process is doing cannot be awaited, only looked at.
        std::thread::sleep(Duration::from_millis(50));
    }
}
