//! The bounds of times.

/// The earliest valid time, in Unix milliseconds: some 8,000 years before 1970. A clock that was set
/// back by a century leaves times before 1970, and sums of later times cannot overflow.
pub(crate) const EARLIEST_MS: i64 = -253_402_300_799_999;
