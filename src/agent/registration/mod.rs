//! Keeps the node registered with each registry.
//!
//! `schedule`, `pauses` and `terms` decide when to ask for what, by the `outcome` of each request,
//! and are pure; `registration_loop` does what they decide, one loop for each registry.

mod address_form;
mod announcement;
mod limits;
mod outcome;
mod pauses;
mod registration_loop;
mod remarks;
mod report;
mod schedule;
mod state;
mod terms;

pub use announcement::Registration;
pub use limits::{check_network_id, within_limits};
pub(crate) use pauses::around;
pub(crate) use registration_loop::RegistrationLoop;
pub use schedule::Step;
pub use state::RegistryState;
