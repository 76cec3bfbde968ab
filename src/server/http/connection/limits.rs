//! The limits of one connection on time and memory.

use std::time::Duration;

use crate::server::config::HttpConfig;

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the head of a request to arrive.
    pub(crate) head: Duration,
    /// For an unread body to arrive.
    pub(crate) body: Duration,
    /// For an idle connection. By default it is longer than the minute for which most proxies reuse a
    /// connection, and shorter than the two minutes between heartbeats.
    pub(crate) keep_alive: Duration,
    /// For the client to receive a whole response.
    pub(crate) response: Duration,
}

impl Timeouts {
    pub(crate) fn of(http: &HttpConfig) -> Self {
        Self {
            head: Duration::from_secs(http.head_timeout_secs),
            body: Duration::from_secs(http.body_timeout_secs),
            keep_alive: Duration::from_secs(http.keep_alive_secs),
            response: Duration::from_secs(http.response_timeout_secs),
        }
    }
}

/// The maximum bytes of a head that actix-http gets before it must decode them. Decoded requests
/// take up to 50 times the memory of their bytes, so the number is small; most heads of real
/// requests fit.
pub(crate) const HEAD_READ_BYTES: usize = 1024;

/// The maximum bytes of a body in one read.
pub(crate) const BODY_READ_BYTES: usize = 4096;

/// The bytes of a body that its reader asks for at a time.
pub(crate) const BODY_STEP_BYTES: usize = 16 << 10;

/// The bytes of an incomplete request that each connection may hold without a charge on the budget.
pub(crate) const FREE_INPUT_BYTES: usize = 4096;

/// The memory of a header other than its text: an entry in a hash table that is half empty.
pub(crate) const HEADER_COST_BYTES: usize = 200;

/// Larger responses, and requests, make actix-http's buffers of the connection grow.
pub(crate) const LARGE_MESSAGE_BYTES: u64 = 8 << 10;
