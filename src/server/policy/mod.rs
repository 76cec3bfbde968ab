//! Decisions as pure functions: no I/O, no clock, every input a parameter.

pub(crate) mod address_rules;
pub(crate) mod allocation;
pub(crate) mod choice;
pub(crate) mod claim;
pub(crate) mod cost;
pub(crate) mod credentials;
pub(crate) mod hosts;
pub(crate) mod identity;
pub(crate) mod lease;
pub(crate) mod privacy;
pub(crate) mod revealing;
pub(crate) mod selection;
pub(crate) mod turn;
pub(crate) mod uptime;
