//! The registry over HTTP, on a manual clock.

mod allocation;
mod answer;
mod bad_input;
mod bad_requests;
mod bodies;
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
mod memory;
mod model;
mod modes;
mod names;
mod one_peer;
mod operators;
mod outside_writes;
mod pages;
mod privacy;
mod queries;
mod refusals;
mod registering;
mod relay_faults;
mod relay_input;
mod relay_model;
mod sessions;
mod settled;
mod status;
mod turn;
