//! The server's command line.
#![forbid(unsafe_code)]

mod command_line;
#[path = "../shared/env_file.rs"]
mod env_file;
#[path = "../shared/log_levels.rs"]
mod log_levels;
mod log_writer;
mod logger;
mod misspelled;
mod reload;
mod report;
mod setting_flags;
mod simulate_cost;

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use actix::SystemRunner;
use anyhow::Context;
use clap::Parser;
use log::info;
use mimalloc::MiMalloc;
use peer_registry::server::{Server, Signals, raise_open_files, system_clock};

use crate::command_line::{Command, CommandLine};
use crate::reload::Loaded;

/// Here one thread frees what another one allocated, from peer ids to responses. With the system's
/// allocator, threads would wait for each other: a tenth of a heartbeat's processor time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The registry ran and ended as it was asked to.
const SUCCEEDED: i32 = 0;
/// The registry ran and failed.
const FAILED: i32 = 1;
/// A setting or the database prevents a start, or a rescue file must take the place of the database; a
/// person must do this.
const MISCONFIGURED: i32 = 2;
/// Something that the registry needs is not ready, which may pass by itself: `EX_TEMPFAIL`.
const NOT_READY: i32 = 75;

/// The files that the runtime, the signals and the logger open.
const RUNTIME_FILES: usize = 16;

fn main() {
    // A huge page for the few KiB of each connection would double the memory of ten thousand of
    // them, and is kept when they are gone. Older kernels cannot turn this off; then it stays on.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let code = match start_system() {
        Ok(system) => {
            let code = system.block_on(run());
            // Before the system is dropped, as that waits for its threads.
            end(code)
        }
        Err(error) => fail(NOT_READY, &error),
    };
    end(code)
}

/// Starts the runtime. Checks first that it can open its files, since much of it would panic.
fn start_system() -> anyhow::Result<SystemRunner> {
    raise_open_files(RUNTIME_FILES)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok(actix::System::with_tokio_rt(|| runtime))
}

/// Ends the process, even if other threads are stuck.
fn end(code: i32) -> ! {
    log::logger().flush();
    process::exit(code)
}

/// Reads the command line and does what it says. Returns the exit code.
async fn run() -> i32 {
    // Before anything else: a SIGHUP ends a process that does not listen for it.
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(NOT_READY, &error.into()),
    };
    let CommandLine { settings, command } = CommandLine::parse();
    if let Some(Command::SimulateCost(request)) = command {
        return match simulate_cost::run(&request) {
            Ok(()) => SUCCEEDED,
            Err(error) => fail(MISCONFIGURED, &error),
        };
    }
    if let Err(error) = logger::install() {
        return fail(NOT_READY, &error);
    }
    // On another thread, since a file may be on a file system that does not respond.
    let mut reading = tokio::task::spawn_blocking(|| Loaded::read(settings));
    let read = tokio::select! {
        read = &mut reading => read,
        name = signals.next() => return give_up_start(name),
    };
    match read {
        Ok(Ok(loaded)) => serve(loaded, signals).await,
        Ok(Err(error)) => fail(MISCONFIGURED, &error),
        Err(error) => fail(FAILED, &error.into()),
    }
}

fn give_up_start(signal: &str) -> i32 {
    info!("{signal} received, the start is given up");
    SUCCEEDED
}

/// Runs the server to its end and returns the exit code.
async fn serve(loaded: Loaded, mut signals: Signals) -> i32 {
    let start = async { Server::start(&loaded.config, Arc::new(system_clock().await?)).await };
    let started = tokio::select! {
        started = start => started,
        name = signals.next() => return give_up_start(name),
    };
    let server = match started {
        Ok(server) => server,
        Err(error) if error.may_pass() => return fail(NOT_READY, &error.into()),
        Err(error) => return fail(MISCONFIGURED, &error.into()),
    };
    let (loaded, secrets) = (Arc::new(Mutex::new(loaded)), server.secrets());
    signals.on_hangup(move || {
        let (loaded, secrets) = (Arc::clone(&loaded), secrets.clone());
        // On another thread, since a file may be on a file system that does not respond.
        tokio::task::spawn_blocking(move || {
            let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.reload(&secrets);
        });
    });
    match server.run(signals).await {
        Ok(()) => SUCCEEDED,
        Err(error) if error.needs_operator() => fail(MISCONFIGURED, &error.into()),
        Err(error) => fail(FAILED, &error.into()),
    }
}

fn fail(code: i32, error: &anyhow::Error) -> i32 {
    logger::say_last(&format!("peer-registry: {error:#}"));
    code
}
