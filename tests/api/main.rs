//! The registry over HTTP, on a manual clock.

mod allocation;
mod answer;
mod bad_input;
mod bad_requests;
mod bounds;
mod browsers;
mod cost;
mod coturn;
mod credentials;
mod dropped;
mod faults;
#[path = "../support/flags.rs"]
mod flags;
mod full;
mod helpers;
mod leases;
mod limits;
mod listing;
mod memory;
mod model;
mod modes;
mod names;
mod operators;
mod outside_writes;
mod pages;
mod privacy;
mod queries;
mod registering;
mod relay_faults;
mod relay_input;
mod relay_model;
mod sessions;
mod settled;
mod spellings;
mod status;
mod turn;
