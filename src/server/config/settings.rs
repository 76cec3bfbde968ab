//! Reads the settings from flags and the environment, and reports all their faults at once.

use std::net::SocketAddr;

use clap::Parser;

use super::address_policy::AddressPolicy;
use super::checker::{Checker, SettingsError};
use super::cost_settings::CostSettings;
use super::http::HttpConfig;
use super::lease::LeaseConfig;
use super::memory;
use super::secrets::Secrets;
use super::server::Config;
use super::sessions::SessionConfig;
use crate::protocol::Limits;

/// The settings of the server as they are given.
#[derive(Clone, Debug, Parser)]
#[command(name = "peer-registry", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(
        long,
        env = "LISTEN_ADDR",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:3000"
    )]
    listen_addr: String,

    /// Database file, created if it is not there
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "sqlite://PATH",
        default_value = "sqlite://peers.db"
    )]
    database_url: String,

    /// How long a peer stays listed after its last heartbeat
    #[arg(
        long,
        env = "PEER_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "600"
    )]
    peer_timeout_secs: String,

    /// How often peers are told to send a heartbeat, at most half the timeout
    #[arg(
        long,
        env = "HEARTBEAT_INTERVAL_SECS",
        value_name = "SECS",
        default_value = "120"
    )]
    heartbeat_interval_secs: String,

    /// How often the backup cleanup runs
    #[arg(
        long,
        env = "CLEANUP_INTERVAL_SECS",
        value_name = "SECS",
        default_value = "900"
    )]
    cleanup_interval_secs: String,

    /// Which addresses are listed: crypto-ipv6 or any
    #[arg(
        long,
        env = "ADDRESS_POLICY",
        value_name = "POLICY",
        default_value = "crypto-ipv6"
    )]
    address_policy: String,

    /// Peers that may be registered; a full registry refuses new ones only
    #[arg(
        long,
        env = "MAX_PEERS",
        value_name = "COUNT",
        default_value = "1000000"
    )]
    max_peers: String,

    /// Memory that all peers together may take, in MiB; 0 is a quarter of the machine's, at most 2048
    #[arg(long, env = "MAX_MEMORY_MB", value_name = "MIB", default_value = "0")]
    max_memory_mb: String,

    /// Size of a request body
    #[arg(
        long,
        env = "MAX_BODY_BYTES",
        value_name = "BYTES",
        default_value = "131072"
    )]
    max_body_bytes: String,

    /// Peers on a page of GET /peers
    #[arg(long, env = "MAX_LISTED", value_name = "COUNT", default_value = "1000")]
    max_listed: String,

    /// HTTP threads; 0 is one per core
    #[arg(long, env = "HTTP_WORKERS", value_name = "COUNT", default_value = "0")]
    http_workers: String,

    /// Requests in the registry at a time, beyond which it answers 503
    #[arg(
        long,
        env = "MAX_IN_FLIGHT",
        value_name = "COUNT",
        default_value = "4096"
    )]
    max_in_flight: String,

    /// Connections at a time, beyond which new ones wait to be accepted
    #[arg(
        long,
        env = "MAX_CONNECTIONS",
        value_name = "COUNT",
        default_value = "10000"
    )]
    max_connections: String,

    /// Connections at a time from one address, or one IPv6 /64; private addresses are exempt
    #[arg(
        long,
        env = "MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "COUNT",
        default_value = "256"
    )]
    max_connections_per_address: String,

    /// Size of the head of a request
    #[arg(
        long,
        env = "MAX_HEAD_BYTES",
        value_name = "BYTES",
        default_value = "16384"
    )]
    max_head_bytes: String,

    /// Size of a listing before compression; what does not fit is on the next page
    #[arg(
        long,
        env = "MAX_RESPONSE_BYTES",
        value_name = "BYTES",
        default_value = "1048576"
    )]
    max_response_bytes: String,

    /// How long a client may take to receive a response
    #[arg(
        long,
        env = "RESPONSE_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "60"
    )]
    response_timeout_secs: String,

    /// How long health says draining before connections are refused
    #[arg(
        long,
        env = "DRAIN_DELAY_SECS",
        value_name = "SECS",
        default_value = "0"
    )]
    drain_delay_secs: String,

    /// How long a shutdown waits for requests under way
    #[arg(
        long,
        env = "SHUTDOWN_TIMEOUT_SECS",
        value_name = "SECS",
        default_value = "30"
    )]
    shutdown_timeout_secs: String,

    /// Characters of a peerId
    #[arg(
        long,
        env = "MAX_PEER_ID_CHARS",
        value_name = "COUNT",
        default_value = "128"
    )]
    max_peer_id_chars: String,

    /// Addresses of a peer, and of a TURN server
    #[arg(
        long,
        env = "MAX_ADDRESSES",
        value_name = "COUNT",
        default_value = "16"
    )]
    max_addresses: String,

    /// Size of an address
    #[arg(
        long,
        env = "MAX_ADDRESS_BYTES",
        value_name = "BYTES",
        default_value = "256"
    )]
    max_address_bytes: String,

    /// Stores of a peer
    #[arg(long, env = "MAX_STORES", value_name = "COUNT", default_value = "1024")]
    max_stores: String,

    /// Size of a store id
    #[arg(
        long,
        env = "MAX_STORE_BYTES",
        value_name = "BYTES",
        default_value = "128"
    )]
    max_store_bytes: String,

    /// Size of any other string
    #[arg(
        long,
        env = "MAX_STRING_BYTES",
        value_name = "BYTES",
        default_value = "64"
    )]
    max_string_bytes: String,

    /// Size of capabilities, and of capabilityList, as JSON
    #[arg(
        long,
        env = "MAX_CAPABILITIES_BYTES",
        value_name = "BYTES",
        default_value = "8192"
    )]
    max_capabilities_bytes: String,

    /// The highest turnCapacity, in sessions
    #[arg(
        long,
        env = "MAX_TURN_CAPACITY",
        value_name = "COUNT",
        default_value = "10000"
    )]
    max_turn_capacity: String,

    /// New TURN sessions of a peer in a minute
    #[arg(
        long,
        env = "MAX_ALLOCATIONS_PER_MINUTE",
        value_name = "COUNT",
        default_value = "10"
    )]
    max_allocations_per_minute: String,

    /// Ended TURN sessions that are kept for late reports
    #[arg(
        long,
        env = "MAX_ENDED_SESSIONS",
        value_name = "COUNT",
        default_value = "50000"
    )]
    max_ended_sessions: String,

    /// Ended TURN sessions of one peer that are kept for late reports
    #[arg(
        long,
        env = "MAX_ENDED_SESSIONS_PER_PEER",
        value_name = "COUNT",
        default_value = "16"
    )]
    max_ended_sessions_per_peer: String,

    #[command(flatten)]
    cost: CostSettings,
}

impl Settings {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names each setting that is wrong, with what it is and what it may be.
    pub fn check(&self) -> Result<Config, SettingsError> {
        let mut checker = Checker::default();
        let config = self.read(&mut checker);
        checker.finish().map(|()| config)
    }

    fn read(&self, checker: &mut Checker) -> Config {
        let any = 1..=u64::from(u32::MAX);
        let peer_timeout_secs =
            checker.number("PEER_TIMEOUT_SECS", &self.peer_timeout_secs, any.clone());
        let heartbeat_interval_secs = checker.number(
            "HEARTBEAT_INTERVAL_SECS",
            &self.heartbeat_interval_secs,
            any.clone(),
        );
        checker.interval_within_timeout(heartbeat_interval_secs, peer_timeout_secs);
        let lease = LeaseConfig {
            peer_timeout_secs,
            cleanup_interval_secs: checker.number(
                "CLEANUP_INTERVAL_SECS",
                &self.cleanup_interval_secs,
                any.clone(),
            ),
            max_peers: checker.size("MAX_PEERS", &self.max_peers, any),
            max_memory_bytes: self.read_max_memory(checker),
        };
        let secrets = Secrets::read(checker);
        Config {
            listen_addr: checker.parse::<SocketAddr>(
                "LISTEN_ADDR",
                &self.listen_addr,
                "an IP address and a port, e.g. 127.0.0.1:3000 or [::]:3000",
                SocketAddr::from(([127, 0, 0, 1], 0)),
            ),
            database_path: checker.database_path("DATABASE_URL", &self.database_url),
            lease,
            heartbeat_interval_secs,
            address_policy: checker.parse(
                "ADDRESS_POLICY",
                &self.address_policy,
                "crypto-ipv6 or any",
                AddressPolicy::CryptoIpv6,
            ),
            limits: self.read_limits(checker),
            http: self.read_http(checker),
            sessions: self.read_sessions(checker),
            cost: self.cost.read(checker),
            turn_secrets: secrets.turn,
            admin_token: secrets.admin_token,
        }
    }

    fn read_max_memory(&self, checker: &mut Checker) -> usize {
        let mib = checker.size("MAX_MEMORY_MB", &self.max_memory_mb, 0..=1 << 20);
        match mib {
            0 => memory::default_max_bytes(),
            mib => mib << 20,
        }
    }

    fn read_sessions(&self, checker: &mut Checker) -> SessionConfig {
        let any = 1..=1 << 20;
        let mut size = |name, text: &str| checker.size(name, text, any.clone());
        SessionConfig {
            max_new_per_minute: size(
                "MAX_ALLOCATIONS_PER_MINUTE",
                &self.max_allocations_per_minute,
            ),
            max_ended: size("MAX_ENDED_SESSIONS", &self.max_ended_sessions),
            max_ended_per_peer: size(
                "MAX_ENDED_SESSIONS_PER_PEER",
                &self.max_ended_sessions_per_peer,
            ),
        }
    }

    fn read_limits(&self, checker: &mut Checker) -> Limits {
        let any = 1..=1 << 20;
        let mut size = |name, text: &str| checker.size(name, text, any.clone());
        Limits {
            peer_id_chars: size("MAX_PEER_ID_CHARS", &self.max_peer_id_chars),
            addresses: size("MAX_ADDRESSES", &self.max_addresses),
            address_bytes: size("MAX_ADDRESS_BYTES", &self.max_address_bytes),
            stores: size("MAX_STORES", &self.max_stores),
            store_bytes: size("MAX_STORE_BYTES", &self.max_store_bytes),
            string_bytes: size("MAX_STRING_BYTES", &self.max_string_bytes),
            capabilities_bytes: size("MAX_CAPABILITIES_BYTES", &self.max_capabilities_bytes),
            turn_capacity: checker.number("MAX_TURN_CAPACITY", &self.max_turn_capacity, any),
        }
    }

    fn read_http(&self, checker: &mut Checker) -> HttpConfig {
        let workers = checker.size("HTTP_WORKERS", &self.http_workers, 0..=1024);
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let any = 1..=1 << 30;
        HttpConfig {
            workers: if workers == 0 { cores() } else { workers },
            max_in_flight: checker.size("MAX_IN_FLIGHT", &self.max_in_flight, 1..=1 << 20),
            max_connections: checker.size("MAX_CONNECTIONS", &self.max_connections, 1..=1 << 20),
            max_connections_per_address: checker.size(
                "MAX_CONNECTIONS_PER_ADDRESS",
                &self.max_connections_per_address,
                1..=1 << 20,
            ),
            max_head_bytes: checker.size("MAX_HEAD_BYTES", &self.max_head_bytes, 1024..=98_304),
            max_response_bytes: checker.size(
                "MAX_RESPONSE_BYTES",
                &self.max_response_bytes,
                65_536..=1 << 30,
            ),
            response_timeout_secs: checker.number(
                "RESPONSE_TIMEOUT_SECS",
                &self.response_timeout_secs,
                1..=86_400,
            ),
            max_body_bytes: checker.size("MAX_BODY_BYTES", &self.max_body_bytes, any),
            max_listed: checker.size("MAX_LISTED", &self.max_listed, 1..=100_000),
            drain_delay_secs: checker.number("DRAIN_DELAY_SECS", &self.drain_delay_secs, 0..=3600),
            shutdown_timeout_secs: checker.number(
                "SHUTDOWN_TIMEOUT_SECS",
                &self.shutdown_timeout_secs,
                0..=86_400,
            ),
        }
    }
}

#[cfg(test)]
mod tests;
