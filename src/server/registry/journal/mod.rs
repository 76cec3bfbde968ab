//! The log lines of the registry: one line per event, whatever text a client sends.
//!
//! A peer id needs no escaping. Any other text of a client is written with `Debug`, which escapes
//! control characters. Addresses of clients are not logged. Lines that clients can cause are
//! limited by kind: lines beyond the limit are written at debug level, and their number is logged
//! when the window ends.

mod kind;
mod lines;
mod mutations;

pub(crate) use lines::{
    Journal, close_failed, files_lost, removed_to_fit, set_aside, shrunk, still_degraded,
};
