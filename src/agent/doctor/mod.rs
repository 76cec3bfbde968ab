//! Finds out what keeps a node from being listed by a registry.
//!
//! `probe` asks the registry, `diagnosis` decides what the responses mean, and a [`Finding`] is
//! what it decides; `wording` says it in plain English, `advice` what to do about it, and `code_advice`
//! what to do about each error code. `proofs` decides on the proof of the node's key, `live` on a node that is
//! registered already. All but `probe` are pure.

mod advice;
mod code_advice;
mod diagnosis;
mod finding;
mod live;
mod probe;
mod proofs;
mod wording;

pub use super::client::TlsFault;
pub use finding::{Finding, Verdict};
pub use probe::{Subject, examine, recall_registry_key};
