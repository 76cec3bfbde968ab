//! Times in responses, which follow the wall clock.

use std::sync::Arc;

use crate::clock::{Clock, rfc3339};

/// A difference up to this is that of two readings, not of two clocks.
const MIN_STEP_MS: i64 = 1_000;

/// Converts times of the registry, which leases follow, to what the wall clock shows. Others compare them
/// with their own clocks: nodes, and TURN servers that check when a credential ends.
#[derive(Clone)]
pub(crate) struct WallTime(Arc<dyn Clock>);

impl WallTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }

    /// What the wall clock shows at a time of the registry.
    pub(crate) fn of(&self, registry_ms: i64) -> i64 {
        let ahead_ms = self.0.wall_ms().saturating_sub(self.0.now_ms());
        match ahead_ms.abs() < MIN_STEP_MS {
            true => registry_ms,
            false => registry_ms.saturating_add(ahead_ms),
        }
    }

    /// What the wall clock shows now, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.of(self.0.now_ms())
    }

    /// What the wall clock shows at a time of the registry, as text.
    pub(crate) fn text(&self, registry_ms: i64) -> String {
        rfc3339(self.of(registry_ms))
    }
}
