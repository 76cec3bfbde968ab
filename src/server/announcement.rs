//! What the log says when the server is ready.

use std::net::SocketAddr;
use std::path::Path;

use log::{info, warn};

use super::config::Config;
use super::container::is_in_container;
use super::log_lines;
use super::registry::Started;
use crate::clock;

/// Logs the limits on what one client, and all clients together, can use.
fn announce_bounds(config: &Config) {
    let (http, sessions) = (&config.http, &config.sessions);
    info!(
        "  at most {} peers in {} MiB, {} requests at a time, {} connections, {} from one address",
        config.registry.max_peers,
        config.registry.max_memory_bytes >> 20,
        config.registry.max_in_flight,
        http.max_connections,
        http.max_connections_per_address,
    );
    info!(
        "  at most {} bytes of a head, {} of a body, {} of a listing; {} peers on a page; {} s to \
         receive a response",
        http.max_head_bytes,
        http.max_body_bytes,
        http.max_response_bytes,
        http.max_listed,
        http.response_timeout_secs,
    );
    info!(
        "  at most {} new TURN sessions of a peer in a minute; {} ended ones kept, {} of one peer",
        sessions.max_new_per_minute, sessions.max_ended, sessions.max_ended_per_peer,
    );
    info!(
        "  at most {} log lines of a kind in {} s",
        log_lines::MAX_LINES_PER_WINDOW,
        log_lines::WINDOW_MS / 1000
    );
}

/// Logs the settings of the server, and the state that it has loaded.
pub(crate) fn announce(config: &Config, addrs: &[SocketAddr], path: &Path, started: &Started) {
    let lease = &config.registry;
    let credited_secs = started
        .resumed
        .leases
        .credited
        .map_or(0, |outage| (outage.until_ms - outage.from_ms) / 1000);
    let urls: Vec<_> = addrs.iter().map(|addr| format!("http://{addr}")).collect();
    info!("peer-registry {}", env!("CARGO_PKG_VERSION"));
    info!(
        "  listening on {} with {} workers",
        urls.join(", "),
        config.http.workers
    );
    if addrs.iter().all(|addr| addr.ip().is_loopback()) && is_in_container() {
        warn!(
            "  this is a container, and nothing outside of it reaches a loopback address: set \
             LISTEN_ADDR to [::]:3000, or PORT"
        );
    }
    info!("  database {}", path.display());
    info!(
        "  timeout {} s, heartbeat every {} s, backup cleanup every {} s",
        lease.peer_timeout_secs, config.heartbeat_interval_secs, lease.cleanup_interval_secs
    );
    info!("  address policy {}", config.address_policy);
    info!(
        "  relay budget {} US dollars a month, {} TURN secrets, admin paths {}",
        config.cost.monthly_budget_usd,
        config.turn_secrets.len(),
        if config.admin_token.is_some() {
            "on"
        } else {
            "off"
        },
    );
    announce_bounds(config);
    if let Some(forced) = config.cost.mode_override {
        warn!(
            "  mode {} is forced until {}, whatever relaying costs",
            forced.mode,
            clock::rfc3339(forced.until_ms)
        );
    }
    info!(
        "  loaded {} peers, {} of them active, at most {}",
        started.total_peers, started.active_peers, lease.max_peers
    );
    if started.resumed.expired > 0 {
        info!(
            "  removed {} peers whose leases had run out",
            started.resumed.expired
        );
    }
    info!("  credited an outage of {credited_secs} s");
    if let Some(outage) = started.resumed.leases.credited {
        info!(
            "  the registry was last alive at {}",
            clock::rfc3339(outage.from_ms)
        );
    }
    if started.resumed.leases.set_back_ms > 0 {
        warn!(
            "the wall clock was set back by {} s since the last run; leases keep their time left",
            started.resumed.leases.set_back_ms / 1000
        );
    }
}
