//! What the registry has granted of relay capacity, and what that costs.
//!
//! [`state`] is what is granted, as on disk; [`planner`] decides what a batch changes of it, which is
//! the [`plan`]. [`sessions`] and [`daily_traffic`] are parts of the state.

mod daily_traffic;
mod plan;
mod planner;
mod sent_bytes;
mod sessions;
mod state;
mod status;

pub use planner::GrantedSession;
pub use sent_bytes::SentBytes;
pub use status::CostStatus;

pub(super) use plan::{RelayPlan, RelayUpdate};
pub(super) use planner::RelayPlanner;
pub(super) use sessions::SESSION_BYTES;
pub(super) use state::Relay;
