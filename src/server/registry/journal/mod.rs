//! What the registry tells the operator's log: one event, one line, whatever a client sent.
//!
//! A peer id needs no escaping; any other text of a client is written by its `Debug`, which leaves
//! no control character. Addresses of clients are not written at all. What clients can cause is
//! limited by kind: beyond the limit a line is written at debug only, and the count is told when
//! the window ends.

mod kind;
mod lines;
mod mutations;

pub(crate) use lines::{
    Journal, close_failed, files_lost, set_aside, shed, shrunk, still_degraded,
};
