//! Decisions as pure functions: no I/O, no clock, every input a parameter.

pub mod allocation;
pub mod cost;
pub mod credentials;
pub mod lease;
pub mod privacy;
pub mod selection;
pub mod turn;
