//! What the benchmarks share: a load generator, servers to drive, and peers to register.

pub mod command_line;
pub mod load;
pub mod peers;
pub mod servers;
