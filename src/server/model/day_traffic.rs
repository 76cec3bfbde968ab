//! What was sent on a day.

/// Bytes sent on one day, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DayTraffic {
    /// By the HTTP server.
    pub http_bytes: i64,
    /// By TURN servers.
    pub relayed_bytes: i64,
}
