//! The server's command line.
#![forbid(unsafe_code)]

mod command_line;
#[path = "../shared/env_file.rs"]
mod env_file;
#[path = "../shared/log_levels.rs"]
mod log_levels;
mod log_writer;
mod logger;
mod reload;
mod report;
mod setting_flags;
mod simulate_cost;

use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use log::info;
use mimalloc::MiMalloc;
use peer_registry::server::{Server, Signals, system_clock};

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

fn main() {
    // A huge page for the few KiB of each connection would double the memory of ten thousand of
    // them, and is kept when they are gone. Older kernels cannot turn this off; then it stays on.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let code = match configure() {
        Ok(Some(loaded)) => {
            let system = actix::System::new();
            let code = system.block_on(serve(loaded));
            // Before the system is dropped, as that waits for its threads.
            end(code)
        }
        Ok(None) => SUCCEEDED,
        Err(error) => fail(MISCONFIGURED, &error),
    };
    end(code)
}

/// Ends the process, even if other threads are stuck.
fn end(code: i32) -> ! {
    log::logger().flush();
    process::exit(code)
}

/// Runs the server to its end and returns the exit code.
async fn serve(loaded: Loaded) -> i32 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &error.into()),
    };
    let start = async { Server::start(&loaded.config, Arc::new(system_clock().await?)).await };
    let started = tokio::select! {
        started = start => started,
        name = signals.next() => {
            info!("{name} received, the start is given up");
            return SUCCEEDED;
        }
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

/// Reads the settings; `None` if the command is done.
fn configure() -> anyhow::Result<Option<Loaded>> {
    let CommandLine { settings, command } = CommandLine::parse();
    if let Some(Command::SimulateCost(request)) = command {
        return simulate_cost::run(&request).map(|()| None);
    }
    Loaded::read(settings).map(Some)
}

fn fail(code: i32, error: &anyhow::Error) -> i32 {
    logger::say_last(&format!("peer-registry: {error:#}"));
    code
}
