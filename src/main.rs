//! The server's command line.
#![forbid(unsafe_code)]

mod log_writer;
mod logger;

use std::env::{self, VarError};
use std::process;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use log::info;
use mimalloc::MiMalloc;
use peer_registry::server::config::{Command, CommandLine, Config};
use peer_registry::server::{Server, Signals, simulation, system_clock};

/// What one thread allocates another one frees here, from peer ids to answers, and threads of the
/// system's allocator wait for each other at that: a tenth of a heartbeat's processor time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The registry ran and ended as it was asked to.
const SUCCEEDED: i32 = 0;
/// The registry ran and failed.
const FAILED: i32 = 1;
/// The registry was told something it cannot do; a person must mend it.
const MISCONFIGURED: i32 = 2;
/// Something that the registry needs is not ready, which may pass by itself: `EX_TEMPFAIL`.
const NOT_READY: i32 = 75;

fn main() {
    // A huge page for each connection's few KiB would double what ten thousand of them take, and is
    // kept when they are gone. Older kernels cannot; then it stays as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let code = match configure() {
        Ok(Some(config)) => {
            let system = actix::System::new();
            let code = system.block_on(serve(&config));
            // Before the system is dropped, as that waits for its threads.
            end(code)
        }
        Ok(None) => SUCCEEDED,
        Err(error) => fail(MISCONFIGURED, &error),
    };
    end(code)
}

/// Ends the process, whatever its other threads hang in.
fn end(code: i32) -> ! {
    log::logger().flush();
    process::exit(code)
}

/// Runs the server to its end and returns the exit code.
async fn serve(config: &Config) -> i32 {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(FAILED, &error.into()),
    };
    let start = async { Server::start(config, Arc::new(system_clock().await?)).await };
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
    match server.run(signals).await {
        Ok(()) => SUCCEEDED,
        Err(error) => fail(FAILED, &error.into()),
    }
}

/// Reads the settings; none if there is nothing left to do.
fn configure() -> anyhow::Result<Option<Config>> {
    // By its path, as a search would go on in the folders above.
    match dotenvy::from_path(".env") {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        // Its own words would show the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(_, column)) => bail!(
            "the file .env has a line that is not NAME=VALUE, at character {column} of it; a \
             value with blanks needs quotes"
        ),
        Err(error) => return Err(error).context("cannot read the file .env"),
    }
    let CommandLine { settings, command } = CommandLine::parse();
    if let Some(Command::SimulateCost(request)) = command {
        return simulation::run(&request).map(|()| None);
    }
    let levels = match env::var("RUST_LOG") {
        Ok(levels) => levels,
        Err(VarError::NotPresent) => "info".to_owned(),
        Err(error) => return Err(error).context("RUST_LOG must be text"),
    };
    // The logger itself would fall silent over a fault.
    env_filter::Builder::new()
        .try_parse(&levels)
        .with_context(|| format!("RUST_LOG must be e.g. info or debug, not {levels:?}"))?;
    logger::install(&levels)?;
    Ok(Some(settings.check()?))
}

fn fail(code: i32, error: &anyhow::Error) -> i32 {
    logger::say_last(&format!("peer-registry: {error:#}"));
    code
}
