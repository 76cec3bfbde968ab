//! The real binary as a child process: what only a process can show.
#![cfg(feature = "server")]

mod child;
mod crowds;
mod database;
mod deaf;
mod durability;
mod faulty_databases;
mod logs;
mod long_heads;
mod relay;
mod shutdown;
mod slow_clients;
mod slow_readers;
mod startup;
mod view;
mod wire;
