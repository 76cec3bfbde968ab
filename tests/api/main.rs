//! The registry over HTTP, on a manual clock.

mod faults;
mod helpers;
mod leases;
mod model;
