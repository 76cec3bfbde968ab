//! What the registry knows, as plain data: of peers, of the sessions that it granted, of its own
//! outages and of what relaying costs.

mod bill;
mod cost_state;
mod day_traffic;
mod outage;
mod profile;
mod registration;
mod stored_peer;
mod time;
mod turn_session;

pub use bill::Bill;
pub use cost_state::CostState;
pub use day_traffic::DayTraffic;
pub use outage::Outage;
pub use profile::Profile;
pub use registration::Registration;
pub use stored_peer::StoredPeer;
pub use time::EARLIEST_MS;
pub use turn_session::TurnSession;
