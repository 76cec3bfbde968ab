//! The settings of the server: what they are, and how they are read and checked.
//!
//! `server` has all of them, a part in a file of its own; `settings` and `cost_settings` read
//! them from flags and the environment, with the `checker`, which collects all faults.

mod address_policy;
mod checker;
mod command_line;
mod cost;
mod cost_settings;
mod http;
mod lease;
mod memory;
mod secrets;
mod server;
mod sessions;
mod settings;

pub use address_policy::AddressPolicy;
pub use checker::SettingsError;
pub use command_line::{Command, CommandLine, SimulateCost, TierParts};
pub use cost::{CostConfig, Secret, Thresholds, TierLimits, TierTable};
pub use cost_settings::CostSettings;
pub use http::HttpConfig;
pub use lease::LeaseConfig;
pub use server::Config;
pub use sessions::SessionConfig;
pub use settings::Settings;
