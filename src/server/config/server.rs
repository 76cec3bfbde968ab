//! All settings of the server, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address_policy::AddressPolicy;
use super::cost::{CostConfig, Secret};
use super::http::HttpConfig;
use super::lease::LeaseConfig;
use super::sessions::SessionConfig;
use crate::protocol::Limits;

/// Everything the server is told at its start.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen. Default 127.0.0.1:3000, `LISTEN_ADDR`. A wildcard address serves the whole
    /// network without TLS; port 0 lets the system choose.
    pub listen_addr: SocketAddr,
    /// The database file. Default `peers.db`, set as `DATABASE_URL`, `sqlite://<path>`.
    pub database_path: PathBuf,
    /// Leases and the size of the registry.
    pub lease: LeaseConfig,
    /// How often nodes are told to send a heartbeat, in seconds. Default 120,
    /// `HEARTBEAT_INTERVAL_SECS`. At most half the timeout, so that one lost heartbeat costs no
    /// place; lower costs a commit per peer and interval.
    pub heartbeat_interval_secs: u64,
    /// Which addresses are stored and listed. Default `crypto-ipv6`, `ADDRESS_POLICY`.
    pub address_policy: AddressPolicy,
    /// The limits of a request's parts.
    pub limits: Limits,
    /// The HTTP interface.
    pub http: HttpConfig,
    /// How many TURN sessions are granted and remembered.
    pub sessions: SessionConfig,
    /// The relay budget.
    pub cost: CostConfig,
    /// Secrets shared with TURN servers. Default none, `TURN_SHARED_SECRET` or a file named by
    /// `TURN_SHARED_SECRET_FILE`, comma-separated. The first one signs credentials; more than one
    /// while they are being changed.
    pub turn_secrets: Vec<Secret>,
    /// The token of the admin paths, which do not exist without it. Default none, `ADMIN_TOKEN` or
    /// a file named by `ADMIN_TOKEN_FILE`. At least 16 characters, not all the same.
    pub admin_token: Option<Secret>,
}
