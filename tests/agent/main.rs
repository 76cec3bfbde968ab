//! The real agent against the real server, in simulated time: one manual clock for both.

mod client;
mod doctor;
mod doctor_proofs;
mod doctor_writes;
mod fallback;
mod handles;
mod helpers;
mod herd;
mod lifetime;
mod nginx;
mod outages;
mod proofs;
mod proxies;
mod refresh;
mod refusals;
mod remarks;
mod wake;
