//! The relay capacity that the registry has granted, and its cost.
//!
//! [`state`] holds what is granted, as on disk. [`planner`] decides how a batch changes that, and
//! produces the [`plan`]. [`sessions`] and [`daily_traffic`] are parts of the state.

mod choice;
mod daily_traffic;
mod plan;
mod planner;
mod sent_bytes;
mod sessions;
mod state;
mod status;

pub(crate) use planner::GrantedSession;
pub(crate) use sent_bytes::SentBytes;
pub(crate) use status::CostStatus;

pub(crate) use plan::{RelayPlan, RelayUpdate};
pub(crate) use planner::RelayPlanner;
pub(crate) use sessions::SESSION_BYTES;
pub(crate) use state::Relay;
