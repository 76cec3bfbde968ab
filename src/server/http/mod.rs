//! The HTTP interface.
//!
//! - [`routes`] maps the paths to the handlers in [`peers`], [`peer`], [`turn`], [`sessions`], [`cost`] and
//!   [`status`], which share a [`context`].
//! - [`serve`] accepts each [`connection`] and passes its requests to the routes.
//! - [`body`] and [`operator`] read and check parts of a request; [`media_type`] and [`inflate`]
//!   belong to bodies.
//! - [`response`] and [`compression`] send long bodies in pieces.
//! - [`errors`] is the one table from errors to statuses and bodies; [`refusals`] counts and logs
//!   what is refused.

mod address_block;
mod allocation_refusals;
mod auth;
mod authenticate;
mod authentication;
mod body;
mod budget;
mod compression;
mod compressor;
mod connection;
mod context;
mod cost;
mod errors;
mod inflate;
mod lane;
mod media_type;
mod no_store;
mod operator;
mod origin;
mod peer;
mod peers;
mod refusals;
mod response;
mod routes;
mod sender;
mod serve;
mod sessions;
mod status;
mod turn;
mod wall_time;
mod wrong_tokens;

pub(crate) use actix_web::dev::ServerHandle;
pub(crate) use authentication::Authentication;
pub(crate) use context::Api;
pub(crate) use refusals::Refusals;
pub(crate) use serve::{Starting, serve};
