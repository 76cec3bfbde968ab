//! Connections with limits on time and memory, so that slow or greedy clients cannot exhaust the
//! server.
//!
//! All limits of actix-http are off, except the one on closing a connection. The [`socket`] below it
//! limits the time for a head, idle time and a response, with the timers of [`alarm`], and the bytes
//! that actix-http gets. It shares an [`exchange`] with the gate and the handlers, which says whether
//! the client or the server acts next. The [`table`] limits the number of connections, in total and
//! per address block. [`closed`] counts and logs why connections were closed.

mod alarm;
mod closed;
mod exchange;
mod limits;
mod socket;
mod table;

pub(crate) use exchange::{BadHead, Exchange, HeadSize};
pub(crate) use limits::{HEAD_READ_BYTES, Timeouts};
pub(crate) use socket::Connection;
pub(crate) use table::Connections;
