//! Leases, and the size of the registry.

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
