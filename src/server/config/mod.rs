//! The settings of the server: what they are, and how they are read and checked.
//!
//! [`Config`] has all of them; each of its parts has a file. Each setting is declared once, as a
//! constant in the file of the field that it fills. The reader gets these constants, checks the given
//! values and collects all faults. To add a setting, write a constant and a field, fill the field with
//! the reader, and add a line to `.env.example` and to the table in docs/operating.md.

mod address_policy;
mod cost;
mod database_path;
mod declaration;
mod http;
mod limits;
mod listen_addrs;
mod memory;
mod reader;
mod registry;
mod secret;
mod secrets;
mod secrets_in_use;
mod server;
mod sessions;
mod settings;

pub use address_policy::{AddressPolicy, PrivateAddresses};
pub use cost::{CostConfig, Thresholds, TierLimits, TierTable};
pub use declaration::{Setting, SettingGroup};
pub use http::HttpConfig;
pub use reader::SettingsError;
pub use registry::RegistryConfig;
pub use secret::Secret;
pub use secrets_in_use::{Replaced, SecretsInUse};
pub use server::Config;
pub use sessions::SessionConfig;
pub use settings::Settings;
