//! A bill from the cloud.

/// A bill from the cloud. It replaces what the registry metered up to its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bill {
    /// What the month had cost by then, in US dollars.
    pub spend_usd: f64,
    /// The time up to which the bill counts, in Unix milliseconds.
    pub as_of_ms: i64,
    /// What the registry itself had metered for the month by then, in US dollars.
    pub metered_usd: f64,
}
