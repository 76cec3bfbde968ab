//! The real binary as a child process: what only a process can show.
#![cfg(feature = "server")]

mod bad_rows;
mod child;
mod containers;
mod crowds;
mod damaged_logs;
mod database;
mod deaf;
mod disk;
mod dropped_tables;
mod durability;
mod env_files;
mod faulty_databases;
mod files;
mod forgotten_reader;
mod logs;
mod long_heads;
mod not_ready;
mod overwritten;
mod refusals;
mod relay;
mod reload;
mod rescues;
mod shutdown;
mod slow_clients;
mod slow_readers;
mod starting;
mod startup;
mod view;
mod wire;
mod wrong_clock;
