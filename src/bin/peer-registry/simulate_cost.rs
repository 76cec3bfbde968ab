//! `peer-registry simulate-cost`: plays the present month and prints it to standard output.

use std::io;

use peer_registry::clock::{Clock, SystemClock};
use peer_registry::server::config::Settings;
use peer_registry::server::simulation::{Load, simulate};

use crate::command_line::SimulateCost;
use crate::reload::env_file;
use crate::report;

/// Plays the present month with a load and prints it.
///
/// # Errors
/// Names the settings that are wrong.
pub(crate) fn run(request: &SimulateCost) -> anyhow::Result<()> {
    let config = Settings::from_iter(request.budget.with(&env_file()?)).check_cost()?;
    let load = Load {
        peers: request.peers,
        sessions_per_day: request.sessions_per_day,
        mbps: request.mbps,
        minutes: request.minutes,
        tier_parts: request.tiers.0,
    };
    let days = simulate(&config, &load, SystemClock::start().now_ms());
    let mut out = io::stdout().lock();
    let printed = if request.json {
        report::print_json(&mut out, &days)
    } else {
        report::print_table(&mut out, &days, config.monthly_budget_usd)
    };
    match printed {
        // The reader closed the pipe, e.g. `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}
