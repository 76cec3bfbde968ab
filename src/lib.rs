//! A bootstrap registry for peer-to-peer networks.
//!
//! Nodes announce themselves over HTTP and keep their place with a small heartbeat; anyone can ask
//! who is alive. The promise: **a live peer never loses its place, a dead one is never listed, and
//! a 200 is on disk.**
//!
//! - [`protocol`] is the wire contract as types, with what each side MUST and SHOULD do.
//! - `server` (feature `server`, on by default) is the registry: an actor over SQLite and its HTTP
//!   interface.
//! - `agent` (feature `agent`) is the node's side; it pulls in neither actix nor sqlx.
//! - [`clock`] is the one source of time for both.
//!
//! The features `registry-command` and `command` build the commands `peer-registry` and `peer-agent`;
//! a program that embeds the library needs neither.
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

#[cfg(feature = "agent")]
pub mod agent;
pub mod clock;
#[cfg(any(feature = "agent", feature = "server"))]
mod draft_file;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
