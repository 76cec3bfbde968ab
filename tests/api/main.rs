//! The registry over HTTP, on a manual clock.

mod allocation;
mod bad_input;
mod bounds;
mod browsers;
mod cost;
mod coturn;
mod credentials;
mod faults;
#[path = "../support/flags.rs"]
mod flags;
mod helpers;
mod leases;
mod limits;
mod listing;
mod model;
mod modes;
mod names;
mod operators;
mod privacy;
mod queries;
mod registering;
mod relay_faults;
mod relay_input;
mod relay_model;
mod sessions;
mod status;
mod turn;
