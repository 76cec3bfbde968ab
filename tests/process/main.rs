//! The real binary as a child process: what only a process can show.
#![cfg(feature = "server")]

mod bad_rows;
mod child;
mod database;
mod disk;
mod durability;
mod faulty_databases;
mod files;
mod logs;
mod relay;
mod shutdown;
mod slow_clients;
mod starting;
mod startup;
mod view;
mod wire;
mod wrong_clock;
