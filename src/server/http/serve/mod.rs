//! Serves the application on a listener.
//!
//! [`server`] connects sockets, the [`gate`] and the application; [`slashes`] makes paths
//! plain; [`capacity`] limits the
//! connections to the [`open_files`] that the system allows; [`starting`] responds while the database
//! is loaded.

mod capacity;
mod gate;
mod open_files;
mod server;
mod slashes;
mod starting;

pub(crate) use capacity::new_connections;
pub(crate) use server::serve;
pub(crate) use starting::Starting;
