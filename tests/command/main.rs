//! The real `peer-agent` as a child process, against the real server.

mod doctor;
mod exec;
#[path = "../support/flags.rs"]
mod flags;
mod helpers;
mod identity;
mod networks;
mod once;
mod run;
mod settings;
#[path = "../support/tls.rs"]
mod tls;
