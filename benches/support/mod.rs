//! What the benchmarks share: a load generator, servers to drive, and peers to register.

pub mod load;
pub mod peers;
pub mod servers;
