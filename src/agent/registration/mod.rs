//! Keeps the node registered with each registry.
//!
//! `schedule`, `pauses` and `terms` decide when to ask for what and are pure; `registration_loop`
//! does what they decide, one loop for each registry.

mod announcement;
mod pauses;
mod registration_loop;
mod schedule;
mod state;
mod terms;

pub use announcement::Registration;
pub(crate) use pauses::around;
pub(crate) use registration_loop::RegistrationLoop;
pub use schedule::Step;
pub use state::RegistryState;
