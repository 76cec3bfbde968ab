//! The real `peer-agent` as a child process, against the real server.

mod doctor;
mod exec;
mod helpers;
mod once;
mod run;
mod settings;
