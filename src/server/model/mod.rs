//! What the registry knows, as plain data: peers, the sessions that it granted, its own outages, and
//! what relaying costs.

mod bill;
mod cost_state;
mod day_traffic;
mod outage;
mod profile;
mod registration;
mod stored_peer;
mod time;
mod turn_session;

pub(crate) use bill::Bill;
pub(crate) use cost_state::CostState;
pub(crate) use day_traffic::DayTraffic;
pub(crate) use outage::{Outage, ResumedLeases, Uptime};
pub(crate) use profile::Profile;
pub(crate) use registration::Registration;
pub(crate) use stored_peer::StoredPeer;
pub(crate) use time::EARLIEST_MS;
pub(crate) use turn_session::TurnSession;
