//! Finds out what keeps a node from being listed by a registry.
//!
//! `probe` asks the registry, `diagnosis` decides what the responses mean, and a [`Finding`] is
//! what it decides; `wording` says it in plain English. `finding`, `diagnosis` and `wording` are
//! pure.

mod diagnosis;
mod finding;
mod probe;
mod wording;

pub use finding::{Finding, Verdict};
pub use probe::{Subject, examine};
