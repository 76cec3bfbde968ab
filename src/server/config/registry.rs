//! Settings of the registry itself: leases, and how much it holds.

use super::declaration::Number;
use super::memory;

/// The bound of most numbers, which serves only to catch a typing error.
const MAX: u64 = u32::MAX as u64;

pub(crate) const PEER_TIMEOUT_SECS: Number<u64> = Number {
    name: "PEER_TIMEOUT_SECS",
    unit: "SECS",
    default: 600,
    range: 1..=MAX,
    meaning: "How long a peer stays listed after its last heartbeat",
};

pub(crate) const HEARTBEAT_INTERVAL_SECS: Number<u64> = Number {
    name: "HEARTBEAT_INTERVAL_SECS",
    unit: "SECS",
    default: 120,
    range: 1..=MAX,
    meaning: "How often peers are told to send a heartbeat, at most half the timeout",
};

pub(crate) const CLEANUP_INTERVAL_SECS: Number<u64> = Number {
    name: "CLEANUP_INTERVAL_SECS",
    unit: "SECS",
    default: 900,
    range: 1..=MAX,
    meaning: "How often the backup cleanup runs",
};

pub(crate) const MAX_PEERS: Number<usize> = Number {
    name: "MAX_PEERS",
    unit: "COUNT",
    default: 1_000_000,
    range: 1..=MAX as usize,
    meaning: "Peers that may be registered; a full registry refuses new ones only",
};

pub(crate) const MAX_MEMORY_MB: Number<usize> = Number {
    name: "MAX_MEMORY_MB",
    unit: "MIB",
    default: 0,
    range: 0..=1 << 20,
    meaning: "Memory that all peers together may take, in MiB; 0 is a quarter of the machine's, at most 2048",
};

pub(crate) const MAX_IN_FLIGHT: Number<usize> = Number {
    name: "MAX_IN_FLIGHT",
    unit: "COUNT",
    default: 4096,
    range: 1..=1 << 20,
    meaning: "Requests in the registry at a time; beyond it the response is 503",
};

pub(crate) const WAL_WARNING_MB: Number<u64> = Number {
    name: "WAL_WARNING_MB",
    unit: "MIB",
    default: 128,
    range: 1..=1 << 20,
    meaning: "Size of the database's write-ahead log beyond which the server warns, in MiB",
};

/// Settings of leases, and of how much the registry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryConfig {
    /// How long a lease lasts, in seconds of registry up-time (`PEER_TIMEOUT_SECS`). If it is too
    /// short, nodes are dropped when their network fails briefly; if it is too long, dead
    /// nodes are listed.
    pub peer_timeout_secs: u64,
    /// How often the backup cleanup runs, in seconds (`CLEANUP_INTERVAL_SECS`). Each mutation
    /// cleans up too, so this matters only while no client writes.
    pub cleanup_interval_secs: u64,
    /// Maximum number of peers in the registry (`MAX_PEERS`). Each takes about 1 KiB of memory and
    /// of disk.
    pub max_peers: usize,
    /// Maximum memory that all peers together may take, in bytes (`MAX_MEMORY_MB`). Beyond it new
    /// peers are refused with `registry_full`; leases can still be renewed.
    pub max_memory_bytes: usize,
    /// Maximum number of requests in the registry at a time (`MAX_IN_FLIGHT`). Beyond it the
    /// response is 503 `overloaded`; a higher value lets requests wait longer instead.
    pub max_in_flight: usize,
    /// Size of the write-ahead log beyond which the server warns, in bytes (`WAL_WARNING_MB`). The log
    /// stays below 64 MiB, unless another process reads an old state of the database.
    pub wal_warning_bytes: u64,
}

impl RegistryConfig {
    /// The maximum time between two signs of life, in milliseconds; a longer gap is an outage. It is
    /// a quarter of a lease, but at least three intervals between signs of life, and at most 5 s.
    pub fn max_gap_ms(&self) -> i64 {
        (self.peer_timeout_ms() / 4).clamp(1_500, 5_000)
    }

    /// How long a lease lasts, in milliseconds.
    pub fn peer_timeout_ms(&self) -> i64 {
        i64::try_from(self.peer_timeout_secs.saturating_mul(1000)).unwrap_or(i64::MAX)
    }
}

/// `MAX_MEMORY_MB` in bytes.
pub(crate) fn max_memory_bytes(mib: usize) -> usize {
    match mib {
        0 => memory::default_max_bytes(),
        mib => mib << 20,
    }
}
