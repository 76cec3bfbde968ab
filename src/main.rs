//! The server's command line.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use env_logger::Env;
use log::LevelFilter;
use peer_registry::clock::SystemClock;
use peer_registry::server::config::{Config, Settings};
use peer_registry::server::{Server, Signals};

/// The registry ran and failed.
const FAILED: u8 = 1;
/// The registry was told something it cannot do; nothing was started.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    let config = match configure() {
        Ok(config) => config,
        Err(error) => return fail(MISCONFIGURED, &error),
    };
    actix::System::new().block_on(async {
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return fail(FAILED, &error.into()),
        };
        let server = match Server::start(&config, Arc::new(SystemClock::start())).await {
            Ok(server) => server,
            Err(error) => return fail(MISCONFIGURED, &error.into()),
        };
        match server.run(signals).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &error.into()),
        }
    })
}

fn configure() -> anyhow::Result<Config> {
    // By its path, as a search would go on in the folders above.
    match dotenvy::from_path(".env") {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => return Err(error).context("cannot read the file .env"),
    }
    let settings = Settings::parse();
    env_logger::Builder::new()
        // It repeats what the start-up block says.
        .filter_module("actix_server", LevelFilter::Warn)
        .parse_env(Env::default().default_filter_or("info"))
        .format_target(false)
        .init();
    Ok(settings.check()?)
}

fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("peer-registry: {error:#}");
    ExitCode::from(code)
}
