//! What one stranger can send, against the real binary: each test is an attack that stopped an
//! earlier version, and holds that honest peers do not notice it.
//!
//! Every test runs alone, is bounded in requests, bytes and time, and talks to loopback only.
//! `PEER_REGISTRY_BINARY` names another binary to attack, e.g. an older one; settings go through the
//! environment, where a binary that does not know them ignores them.
#![cfg(feature = "server")]

mod all_at_once;
mod arena;
mod background;
mod bodies;
mod connections;
mod cost_of_reads;
mod cost_of_writes;
mod database;
mod faults;
mod files;
mod honest;
mod listings;
mod load;
mod log;
mod memory;
mod responses;
mod sessions;
mod small;
mod time;
mod verdict;
mod wire;
