//! Signs of life, from which outages are measured.

use crate::clock;
use crate::server::model::Outage;

/// The time of an event, on the clock that leases follow and on the machine's clock. The two differ
/// only in tests, whose clock jumps; a jump is not an outage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    now_ms: i64,
    machine_ms: i64,
}

impl Sign {
    pub(crate) fn given_at(now_ms: i64) -> Self {
        Self {
            now_ms,
            machine_ms: clock::machine_ms(),
        }
    }

    /// The time since then on the machine's clock, in milliseconds.
    pub(crate) fn age_ms(self) -> i64 {
        clock::machine_ms() - self.machine_ms
    }

    /// The time from the sign to `now_ms`, as an outage.
    pub(crate) fn outage_until(self, now_ms: i64) -> Outage {
        Outage {
            from_ms: self.now_ms.max(now_ms.saturating_sub(self.age_ms())),
            until_ms: now_ms,
        }
    }
}
