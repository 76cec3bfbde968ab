//! The one source of time.
//!
//! Every time in the registry is a number of Unix milliseconds, read from a [`Clock`]. No other
//! code in the crate asks the operating system for the time, so tests control it. Code that also
//! waits for a future time uses a `Timer` (feature `agent`).

#[cfg(any(test, feature = "manual-clock"))]
mod manual;
mod rfc3339;
#[cfg(all(feature = "agent", any(test, feature = "manual-clock")))]
mod sleepers;
mod system;
#[cfg(feature = "agent")]
mod timer;

#[cfg(any(test, feature = "manual-clock"))]
pub use manual::ManualClock;
pub use rfc3339::{rfc3339, unix_ms};
#[cfg(all(feature = "agent", any(test, feature = "manual-clock")))]
pub use sleepers::Waiting;
#[cfg(feature = "server")]
pub use system::machine_ms;
pub use system::{Clock, SystemClock};
#[cfg(feature = "server")]
pub(crate) use system::{deadline_in, timer_now};
#[cfg(feature = "agent")]
pub use timer::{Sleep, Timer};
