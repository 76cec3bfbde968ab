//! What one unknown client can send, against the real binary. Each test is an attack that stopped
//! an earlier version, and checks that honest peers do not notice it.
//!
//! The tests run one at a time. Each has bounded requests, bytes and time, and uses loopback only.
//! `PEER_REGISTRY_BINARY` selects another binary to attack, e.g. an older one. Settings are
//! environment variables, so a binary ignores those that it does not know.
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
mod unread;
mod verdict;
mod wire;
