//! The limits of one connection on time and memory.

use std::time::Duration;

/// The time limit for the head of a request to arrive.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. It is shorter than the two minutes between heartbeats: a
/// connection serves one burst of requests, and is not kept for the next heartbeat.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The time limit for an unread body to arrive.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

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
