//! The limits and times with which a batch is planned.

use crate::server::registry::claims::Claims;
use crate::server::registry::directory::Directory;
use crate::server::registry::relay::Relay;

/// The tables on which a batch is planned. They must equal the ones on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchTables<'t> {
    pub directory: &'t Directory,
    pub relay: &'t Relay,
    pub claims: &'t Claims,
}

/// What a batch is planned with, besides the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchContext {
    pub now_ms: i64,
    pub cutoff_ms: i64,
    /// How long a lease lasts, in milliseconds of up-time.
    pub lease_ms: i64,
    pub max_peers: usize,
    /// The maximum memory of all peers and sessions, in bytes.
    pub max_bytes: usize,
    /// Whether the process uses more memory than the counted peers and sessions explain.
    pub exceeds_memory: bool,
    /// Whether ids that were proven are protected.
    pub checks_claims: bool,
    /// Whether the batch may clean up. A cleanup needs a directory that equals the table
    /// everywhere.
    pub cleans_up: bool,
}
