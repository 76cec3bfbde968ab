//! The registry over HTTP, on a manual clock.

mod helpers;
mod leases;
