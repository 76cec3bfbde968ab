//! Time in which no peer could renew its lease.

/// A period in which no peer could renew its lease, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// When the registry was last known to work.
    pub from_ms: i64,
    /// When it worked again.
    pub until_ms: i64,
}
