//! The HTTP interface.

use std::thread;

use super::declaration::Number;
use super::reader::Reader;

/// Bounds that serve only to catch a typing error.
const MAX_COUNT: usize = 1 << 20;
const MAX_BYTES: usize = 1 << 30;
const DAY_SECS: u64 = 86_400;

const MAX_BODY_BYTES: Number<usize> = Number {
    name: "MAX_BODY_BYTES",
    unit: "BYTES",
    default: 524_288,
    range: 1..=MAX_BYTES,
    meaning: "Size of a request body",
};

const MAX_LISTED: Number<usize> = Number {
    name: "MAX_LISTED",
    unit: "COUNT",
    default: 1000,
    range: 1..=100_000,
    meaning: "Peers on a page of GET /peers",
};

const HTTP_WORKERS: Number<usize> = Number {
    name: "HTTP_WORKERS",
    unit: "COUNT",
    default: 0,
    range: 0..=1024,
    meaning: "HTTP threads; 0 is one per core",
};

const MAX_CONNECTIONS: Number<usize> = Number {
    name: "MAX_CONNECTIONS",
    unit: "COUNT",
    default: 10_000,
    range: 1..=MAX_COUNT,
    meaning: "Connections at a time; for one more the longest idle one is closed",
};

const MAX_CONNECTIONS_PER_ADDRESS: Number<usize> = Number {
    name: "MAX_CONNECTIONS_PER_ADDRESS",
    unit: "COUNT",
    default: 256,
    range: 1..=MAX_COUNT,
    meaning: "Connections at a time from one address, or one IPv6 /64; private addresses are exempt",
};

const MAX_HEAD_BYTES: Number<usize> = Number {
    name: "MAX_HEAD_BYTES",
    unit: "BYTES",
    default: 16_384,
    range: 1024..=98_304,
    meaning: "Size of the head of a request",
};

const MAX_RESPONSE_BYTES: Number<usize> = Number {
    name: "MAX_RESPONSE_BYTES",
    unit: "BYTES",
    default: 1_048_576,
    range: 65_536..=MAX_BYTES,
    meaning: "Size of a listing before compression; what does not fit is on the next page",
};

const KEEP_ALIVE_SECS: Number<u64> = Number {
    name: "KEEP_ALIVE_SECS",
    unit: "SECS",
    default: 75,
    range: 1..=DAY_SECS,
    meaning: "How long an idle connection is kept; longer than the proxy in front keeps it",
};

const HEAD_TIMEOUT_SECS: Number<u64> = Number {
    name: "HEAD_TIMEOUT_SECS",
    unit: "SECS",
    default: 5,
    range: 1..=DAY_SECS,
    meaning: "How long the head of a request may take to arrive",
};

const BODY_TIMEOUT_SECS: Number<u64> = Number {
    name: "BODY_TIMEOUT_SECS",
    unit: "SECS",
    default: 5,
    range: 1..=DAY_SECS,
    meaning: "How long the body of a request may take to arrive",
};

const RESPONSE_TIMEOUT_SECS: Number<u64> = Number {
    name: "RESPONSE_TIMEOUT_SECS",
    unit: "SECS",
    default: 60,
    range: 1..=DAY_SECS,
    meaning: "How long a client may take to receive a response",
};

const DRAIN_DELAY_SECS: Number<u64> = Number {
    name: "DRAIN_DELAY_SECS",
    unit: "SECS",
    default: 0,
    range: 0..=3600,
    meaning: "How long health says draining before connections are refused",
};

const SHUTDOWN_TIMEOUT_SECS: Number<u64> = Number {
    name: "SHUTDOWN_TIMEOUT_SECS",
    unit: "SECS",
    default: 30,
    range: 0..=DAY_SECS,
    meaning: "How long a shutdown waits for requests under way",
};

/// Settings of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Maximum size of a request body, in bytes (`MAX_BODY_BYTES`). A registration in which every field
    /// is full takes about 160 KB, real ones 1 KB. The default leaves room for about 7,800 stores, of
    /// which the surplus is dropped. A longer body would hold up its worker, and the memory for the
    /// bodies of all clients has room for 64 of this length.
    pub max_body_bytes: usize,
    /// Maximum number of peers on a page of `GET /peers` (`MAX_LISTED`). A page of 1000 takes about
    /// 400 KB before compression.
    pub max_listed: usize,
    /// The number of threads that parse requests and write responses (`HTTP_WORKERS`).
    pub workers: usize,
    /// Maximum number of connections at a time (`MAX_CONNECTIONS`). Each takes a file
    /// descriptor, so the limit of the process must be higher (`LimitNOFILE` in a systemd unit).
    pub max_connections: usize,
    /// Maximum number of connections at a time from one address, or from one IPv6 /64
    /// (`MAX_CONNECTIONS_PER_ADDRESS`). Loopback and private addresses are exempt, since they most
    /// likely belong to a proxy.
    pub max_connections_per_address: usize,
    /// Maximum size of the head of a request, in bytes (`MAX_HEAD_BYTES`). It is at most 98,304,
    /// since actix-http buffers at most 128 KiB that it cannot decode yet.
    pub max_head_bytes: usize,
    /// Maximum size of a listing before compression, in bytes (`MAX_RESPONSE_BYTES`). A page ends
    /// before it would be longer; the rest is on the next page.
    pub max_response_bytes: usize,
    /// How long an idle connection is kept, in seconds (`KEEP_ALIVE_SECS`). A proxy in front must
    /// close its idle connections earlier. Otherwise it may send a request into a connection that is
    /// just being closed, and respond with 502 itself.
    pub keep_alive_secs: u64,
    /// How long the head of a request may take to arrive, in seconds (`HEAD_TIMEOUT_SECS`). The same
    /// applies to the time from the start of a connection to its first byte.
    pub head_timeout_secs: u64,
    /// How long the body of a request may take to arrive, in seconds (`BODY_TIMEOUT_SECS`).
    pub body_timeout_secs: u64,
    /// How long a client may take to receive a whole response, in seconds
    /// (`RESPONSE_TIMEOUT_SECS`).
    pub response_timeout_secs: u64,
    /// How long health says `draining` before connections are refused, in seconds
    /// (`DRAIN_DELAY_SECS`): as long as a load balancer takes to notice. A longer time delays each
    /// restart.
    pub drain_delay_secs: u64,
    /// How long a shutdown waits for requests under way, in seconds (`SHUTDOWN_TIMEOUT_SECS`).
    pub shutdown_timeout_secs: u64,
}

impl HttpConfig {
    pub(crate) fn read(settings: &mut Reader<'_>) -> Self {
        let cores = || thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            max_body_bytes: settings.whole(&MAX_BODY_BYTES),
            max_listed: settings.whole(&MAX_LISTED),
            workers: match settings.whole(&HTTP_WORKERS) {
                0 => cores(),
                workers => workers,
            },
            max_connections: settings.whole(&MAX_CONNECTIONS),
            max_connections_per_address: settings.whole(&MAX_CONNECTIONS_PER_ADDRESS),
            max_head_bytes: settings.whole(&MAX_HEAD_BYTES),
            max_response_bytes: settings.whole(&MAX_RESPONSE_BYTES),
            keep_alive_secs: settings.whole(&KEEP_ALIVE_SECS),
            head_timeout_secs: settings.whole(&HEAD_TIMEOUT_SECS),
            body_timeout_secs: settings.whole(&BODY_TIMEOUT_SECS),
            response_timeout_secs: settings.whole(&RESPONSE_TIMEOUT_SECS),
            drain_delay_secs: settings.whole(&DRAIN_DELAY_SECS),
            shutdown_timeout_secs: settings.whole(&SHUTDOWN_TIMEOUT_SECS),
        }
    }
}
