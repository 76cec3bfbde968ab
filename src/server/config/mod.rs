//! What an operator can set.

mod checker;
mod command_line;
mod cost;
mod cost_settings;
mod memory;
mod secrets;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::protocol::Limits;

pub use checker::SettingsError;
pub use command_line::{Command, CommandLine, SimulateCost, TierParts};
pub use cost::{CostConfig, Secret, Thresholds, TierLimits, TierTable};
pub use cost_settings::CostSettings;
pub use settings::Settings;

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

/// Settings of leases and of the actor that grants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long a lease lasts, in seconds of registry up-time. Default 600, `PEER_TIMEOUT_SECS`.
    /// Too low drops nodes at a short loss of their network, too high lists the dead.
    pub peer_timeout_secs: u64,
    /// How often the backup cleanup runs, in seconds. Default 900, `CLEANUP_INTERVAL_SECS`. Each
    /// mutation cleans up too, so this matters only to a registry that nobody writes to.
    pub cleanup_interval_secs: u64,
    /// How many peers the registry holds. Default 1,000,000, `MAX_PEERS`. Each takes about 1 KiB
    /// of memory and of disk.
    pub max_peers: usize,
    /// How many bytes of memory all peers together may take. Default a quarter of the machine's or
    /// the cgroup's memory, at most 2 GiB, `MAX_MEMORY_MB`. Over it new peers are refused with
    /// `registry_full`; renewals go on.
    pub max_memory_bytes: usize,
}

impl LeaseConfig {
    /// How long the registry may show no sign of life before that counts as an outage, in
    /// milliseconds: a quarter of a lease, but no less than three signs take and at most 5 s.
    pub fn max_gap_ms(&self) -> i64 {
        (self.peer_timeout_ms() / 4).clamp(1_500, 5_000)
    }

    /// How long a lease lasts, in milliseconds.
    pub fn peer_timeout_ms(&self) -> i64 {
        i64::try_from(self.peer_timeout_secs.saturating_mul(1000)).unwrap_or(i64::MAX)
    }
}

/// Settings of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Threads that parse requests and write responses. Default one per core, `HTTP_WORKERS`.
    pub workers: usize,
    /// Requests in the registry at a time. Default 4096, `MAX_IN_FLIGHT`. Beyond it the answer is
    /// 503 `overloaded`; higher lets requests wait longer instead.
    pub max_in_flight: usize,
    /// Connections at a time. Default 10,000, `MAX_CONNECTIONS`. Each takes a file descriptor,
    /// so the limit of the process must be higher (`LimitNOFILE` in a systemd unit).
    pub max_connections: usize,
    /// Connections at a time from one address, or from one IPv6 /64. Default 256,
    /// `MAX_CONNECTIONS_PER_ADDRESS`. Loopback and private addresses are exempt, since a proxy is
    /// most likely behind them.
    pub max_connections_per_address: usize,
    /// Bytes of the head of a request. Default 16,384, `MAX_HEAD_BYTES`, at most 98,304, since
    /// actix-http holds 128 KiB of what it cannot decode yet.
    pub max_head_bytes: usize,
    /// Bytes of a listing before compression. Default 1 MiB, `MAX_RESPONSE_BYTES`. A page ends
    /// before it would be longer; the rest is on the next page.
    pub max_response_bytes: usize,
    /// How long a client may take to receive a whole response, in seconds. Default 60,
    /// `RESPONSE_TIMEOUT_SECS`.
    pub response_timeout_secs: u64,
    /// Bytes of a request body. Default 131,072, `MAX_BODY_BYTES`. The largest registration that
    /// the other limits allow takes about 160 KB if every field is full; real ones take 1 KB.
    pub max_body_bytes: usize,
    /// Peers of a page of `GET /peers`. Default 1000, `MAX_LISTED`. A page of 1000 takes about
    /// 400 KB before compression.
    pub max_listed: usize,
    /// How long health says `draining` before connections are refused, in seconds. Default 0,
    /// `DRAIN_DELAY_SECS`. As long as a load balancer takes to notice; longer delays each restart.
    pub drain_delay_secs: u64,
    /// How long a shutdown waits for requests under way, in seconds. Default 30,
    /// `SHUTDOWN_TIMEOUT_SECS`.
    pub shutdown_timeout_secs: u64,
}

/// Bounds of the TURN sessions that are granted and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// New sessions of a peer in a minute. Default 10, `MAX_ALLOCATIONS_PER_MINUTE`. Over it the
    /// response is 429 `throttled`. Sessions that are forgotten are not counted, so a number above
    /// `max_ended_per_peer` limits nothing.
    pub max_new_per_minute: usize,
    /// Ended sessions that are kept for late reports. Default 50,000, `MAX_ENDED_SESSIONS`. Over
    /// it the one that ended first is forgotten.
    pub max_ended: usize,
    /// Ended sessions of one peer that are kept. Default 16, `MAX_ENDED_SESSIONS_PER_PEER`.
    pub max_ended_per_peer: usize,
}

/// Which addresses the registry stores and lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Only multiaddrs under the peer's own crypto-IPv6; nothing that tells where the peer is.
    CryptoIpv6,
    /// Any printable text without blanks.
    Any,
}

impl AddressPolicy {
    /// The spelling of the setting `ADDRESS_POLICY`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CryptoIpv6 => "crypto-ipv6",
            Self::Any => "any",
        }
    }
}

impl FromStr for AddressPolicy {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::CryptoIpv6, Self::Any]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(())
    }
}
