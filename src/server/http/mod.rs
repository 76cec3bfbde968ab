//! The HTTP interface.
//!
//! [`routes`] names the paths and their handlers, which stand in [`peers`], [`turn`], [`sessions`],
//! [`cost`] and [`status`] and share a [`context`]. A request comes in by a [`connection`] that
//! [`serve`] has accepted, with its [`body`] or [`query`]; a response goes out whole or, if it is long,
//! in pieces by [`response`]. [`errors`] is the one table from errors to statuses.

mod body;
mod budget;
mod compression;
mod compressor;
mod connection;
mod context;
mod cost;
mod errors;
mod lane;
mod no_store;
mod operator;
mod origin;
mod peers;
mod query;
mod response;
mod routes;
mod serve;
mod sessions;
mod status;
mod turn;
mod wrong_tokens;

pub(super) use context::Api;
pub(super) use serve::{Starting, serve};
