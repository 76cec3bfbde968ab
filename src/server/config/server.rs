//! All settings of the server, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address_policy::{AddressPolicy, PrivateAddresses};
use super::cost::CostConfig;
use super::database_path::DatabasePath;
use super::declaration::{Number, Text};
use super::http::HttpConfig;
use super::limits;
use super::listen_addrs;
use super::reader::{Given, Reader};
use super::registry::{self, RegistryConfig};
use super::secret::Secret;
use super::secrets::Secrets;
use super::sessions::SessionConfig;
use crate::protocol::Limits;

const DATABASE_URL: Text = Text {
    name: "DATABASE_URL",
    placeholder: "sqlite://PATH",
    default: Some("sqlite://peers.db"),
    form: "sqlite:// and the path of a file, e.g. sqlite://peers.db or \
           sqlite:///var/lib/peer-registry/peers.db",
    meaning: "Database file, created if it is not there",
};

const LOCK_WAIT_SECS: Number<u64> = Number {
    name: "LOCK_WAIT_SECS",
    unit: "SECS",
    default: 10,
    range: 0..=3600,
    meaning: "How long a start waits for another server to release the database",
};

const ADDRESS_POLICY: Text = Text {
    name: "ADDRESS_POLICY",
    placeholder: "POLICY",
    default: Some("crypto-ipv6"),
    form: "crypto-ipv6 or any",
    meaning: "Which addresses are listed: crypto-ipv6 or any",
};

const PRIVATE_ADDRESSES: Text = Text {
    name: "PRIVATE_ADDRESSES",
    placeholder: "CHOICE",
    default: Some("drop"),
    form: "drop or list",
    meaning: "Addresses of private networks under ADDRESS_POLICY=any: drop or list",
};

/// All settings of a server, checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen (`LISTEN_ADDR`, or all addresses with `PORT`); at least one address. A wildcard
    /// address makes the server reachable from the whole network, without TLS; `[::]` includes IPv4.
    /// With port 0 the system chooses the port.
    pub listen_addrs: Vec<SocketAddr>,
    /// The database file (`DATABASE_URL`, as `sqlite://<path>`).
    pub database_path: PathBuf,
    /// How long a start waits for another server to release the database, in seconds
    /// (`LOCK_WAIT_SECS`). In a rolling update the server before this one may still be stopping.
    pub lock_wait_secs: u64,
    /// Leases and the size of the registry.
    pub registry: RegistryConfig,
    /// How often nodes are told to send a heartbeat, in seconds (`HEARTBEAT_INTERVAL_SECS`). It is
    /// at most half the timeout, so that one lost heartbeat costs no peer its place. A shorter
    /// interval costs more commits.
    pub heartbeat_interval_secs: u64,
    /// Which addresses are stored and listed (`ADDRESS_POLICY`).
    pub address_policy: AddressPolicy,
    /// Whether addresses of private networks are listed under the policy `any`
    /// (`PRIVATE_ADDRESSES`).
    pub private_addresses: PrivateAddresses,
    /// The HTTP interface.
    pub http: HttpConfig,
    /// The limits of a request's parts.
    pub limits: Limits,
    /// How many TURN sessions are granted and remembered.
    pub sessions: SessionConfig,
    /// The relay budget.
    pub cost: CostConfig,
    /// Secrets shared with TURN servers (`TURN_SHARED_SECRET`, comma-separated, or a file named by
    /// `TURN_SHARED_SECRET_FILE`). The first one signs credentials; the others are
    /// still accepted by TURN servers while a secret is being changed.
    pub turn_secrets: Vec<Secret>,
    /// The token of the admin paths, which do not exist without it (`ADMIN_TOKEN` or a file named
    /// by `ADMIN_TOKEN_FILE`). It has at least 16 characters that are not all the same.
    pub admin_token: Option<Secret>,
    /// What the operator should know about the settings, such as a secret that others can read. It is
    /// logged at the start.
    pub notices: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Reader::new(&Given::default()))
    }
}

impl Config {
    /// A configuration for tests: a port that the system chooses, one HTTP thread, and the database
    /// at `database_path`.
    pub fn testing(database_path: impl Into<PathBuf>) -> Self {
        let mut config = Self {
            listen_addrs: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            database_path: database_path.into(),
            ..Self::default()
        };
        config.http.workers = 1;
        config
    }

    /// Reads all settings, in the order in which the help text lists them.
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        let listen_addrs = listen_addrs::read(settings);
        let database_path = settings.parse::<DatabasePath>(&DATABASE_URL);
        let lock_wait_secs = settings.whole(&LOCK_WAIT_SECS);
        let peer_timeout_secs = settings.whole(&registry::PEER_TIMEOUT_SECS);
        let heartbeat_interval_secs = settings.whole(&registry::HEARTBEAT_INTERVAL_SECS);
        check_interval(settings, heartbeat_interval_secs, peer_timeout_secs);
        let cleanup_interval_secs = settings.whole(&registry::CLEANUP_INTERVAL_SECS);
        let address_policy = settings.parse(&ADDRESS_POLICY);
        let private_addresses = settings.parse(&PRIVATE_ADDRESSES);
        let registry = RegistryConfig {
            peer_timeout_secs,
            cleanup_interval_secs,
            max_peers: settings.whole(&registry::MAX_PEERS),
            max_in_flight: settings.whole(&registry::MAX_IN_FLIGHT),
            wal_warning_bytes: settings.whole(&registry::WAL_WARNING_MB) << 20,
            max_memory_bytes: registry::max_memory_bytes(settings.whole(&registry::MAX_MEMORY_MB)),
        };
        let http = HttpConfig::read(settings);
        let limits = limits::read(settings);
        let sessions = SessionConfig::read(settings);
        let cost = CostConfig::read(settings);
        let secrets = Secrets::read(settings);
        Self {
            listen_addrs,
            database_path: database_path.map(PathBuf::from).unwrap_or_default(),
            lock_wait_secs,
            registry,
            heartbeat_interval_secs,
            address_policy: address_policy.unwrap_or(AddressPolicy::CryptoIpv6),
            private_addresses: private_addresses.unwrap_or(PrivateAddresses::Drop),
            http,
            limits,
            sessions,
            cost,
            turn_secrets: secrets.turn,
            admin_token: secrets.admin_token,
            notices: settings.take_notices(),
        }
    }
}

/// Checks that the heartbeat interval is at most half the timeout. A number that was found wrong
/// before is 0 here, and is not checked again.
fn check_interval(settings: &mut Reader<'_>, interval_secs: u64, timeout_secs: u64) {
    // A timeout of one second, the minimum, has no half in whole seconds.
    let max_secs = (timeout_secs / 2).max(1);
    if timeout_secs > 0 && interval_secs > max_secs {
        settings.add_fault(format!(
            "HEARTBEAT_INTERVAL_SECS must be at most half of PEER_TIMEOUT_SECS, so that one lost \
             heartbeat costs no peer its place: at most {max_secs} with a timeout of \
             {timeout_secs}, not {interval_secs}"
        ));
    }
}
