//! The registry server.
//!
//! `http` parses requests and writes responses, `registry` plans changes and holds the state in
//! memory, `storage` has the SQL, `policy` holds the rules, `model` and `config` are plain data. Each
//! imports only what comes after it in this list; `storage` and `policy` do not know each other. `run`
//! puts them together.

mod announcement;
pub mod config;
mod container;
mod error;
mod http;
mod listeners;
pub mod log_lines;
mod model;
mod open_files;
mod policy;
mod progress;
mod registry;
mod registry_keys;
mod resident;
mod run;
mod signals;
pub mod simulation;
mod storage;
mod wall_clock;
mod watchdog;

pub use error::{DatabaseError, RunError, StartError};
pub use open_files::{TooFewFiles, raise_open_files};
pub use registry_keys::KeysError;
pub use run::Server;
pub use signals::Signals;
pub use storage::OpenError;
pub use wall_clock::system_clock;
