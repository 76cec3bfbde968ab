//! What the benchmarks share: a load generator, servers to drive, and peers to register.

pub mod command_line;
#[path = "../../tests/support/flags.rs"]
pub mod flags;
pub mod load;
pub mod peers;
pub mod servers;
