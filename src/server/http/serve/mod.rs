//! Sockets below, the application above.
//!
//! [`server`] puts both together, with the [`gate`] between them; [`starting`] answers while the
//! database is read.

mod gate;
mod open_files;
pub(super) mod places;
mod server;
mod starting;

pub(in crate::server) use server::serve;
pub(in crate::server) use starting::Starting;
