//! The registry server.
//!
//! `http` parses and answers, `registry` decides and remembers, `storage` keeps, `policy` holds the
//! rules, `config` and `model` the words. Each imports only what stands after it; `run` puts them
//! together.

mod announcement;
pub mod config;
mod error;
mod http;
pub mod log_lines;
mod model;
mod policy;
mod progress;
mod registry;
mod resident;
mod run;
mod signals;
pub mod simulation;
mod storage;
mod wall_clock;
mod watchdog;

pub use error::{RunError, StartError};
pub use run::Server;
pub use signals::Signals;
pub use storage::FilesLost;
pub use wall_clock::system_clock;
