//! When the registry worked, and when it did not.

/// A period in which no peer could renew its lease, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// When the registry was last known to work.
    pub from_ms: i64,
    /// When it worked again.
    pub until_ms: i64,
}

/// What the database remembers of the time before a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uptime {
    /// In any order; they may overlap.
    pub outages: Vec<Outage>,
    /// The last sign of life, in Unix milliseconds; `None` if the registry has never run.
    pub alive_at_ms: Option<i64>,
}

/// How a start continues the leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResumedLeases {
    /// All outages that still affect leases: disjoint, in order, including the one that has just
    /// ended.
    pub outages: Vec<Outage>,
    /// The outage between the last process and this one.
    pub credited: Option<Outage>,
    /// How far the wall clock was set back meanwhile, in milliseconds; 0 if it was not.
    pub set_back_ms: i64,
    /// The cutoff, in Unix milliseconds: a peer last seen before it has expired.
    pub cutoff_ms: i64,
}
