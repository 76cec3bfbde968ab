//! The HTTP interface.

/// Settings of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Threads that parse requests and write responses. Default one per core, `HTTP_WORKERS`.
    pub workers: usize,
    /// Requests in the registry at a time. Default 4096, `MAX_IN_FLIGHT`. Beyond it the answer is
    /// 503 `overloaded`; higher lets requests wait longer instead.
    pub max_in_flight: usize,
    /// Connections at a time. Default 10,000, `MAX_CONNECTIONS`. Each takes a file descriptor,
    /// so the limit of the process must be higher (`LimitNOFILE` in a systemd unit).
    pub max_connections: usize,
    /// Connections at a time from one address, or from one IPv6 /64. Default 256,
    /// `MAX_CONNECTIONS_PER_ADDRESS`. Loopback and private addresses are exempt, since a proxy is
    /// most likely behind them.
    pub max_connections_per_address: usize,
    /// Bytes of the head of a request. Default 16,384, `MAX_HEAD_BYTES`, at most 98,304, since
    /// actix-http holds 128 KiB of what it cannot decode yet.
    pub max_head_bytes: usize,
    /// Bytes of a listing before compression. Default 1 MiB, `MAX_RESPONSE_BYTES`. A page ends
    /// before it would be longer; the rest is on the next page.
    pub max_response_bytes: usize,
    /// How long a client may take to receive a whole response, in seconds. Default 60,
    /// `RESPONSE_TIMEOUT_SECS`.
    pub response_timeout_secs: u64,
    /// Bytes of a request body. Default 131,072, `MAX_BODY_BYTES`. The largest registration that
    /// the other limits allow takes about 160 KB if every field is full; real ones take 1 KB.
    pub max_body_bytes: usize,
    /// Peers of a page of `GET /peers`. Default 1000, `MAX_LISTED`. A page of 1000 takes about
    /// 400 KB before compression.
    pub max_listed: usize,
    /// How long health says `draining` before connections are refused, in seconds. Default 0,
    /// `DRAIN_DELAY_SECS`. As long as a load balancer takes to notice; longer delays each restart.
    pub drain_delay_secs: u64,
    /// How long a shutdown waits for requests under way, in seconds. Default 30,
    /// `SHUTDOWN_TIMEOUT_SECS`.
    pub shutdown_timeout_secs: u64,
}
