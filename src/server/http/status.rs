//! The responses about the registry itself.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use super::context::Api;
use super::cost::health_cost_info;
use super::errors::ApiError;
use super::no_store::NoStore;
use crate::clock::{self, rfc3339};
use crate::protocol::{CostMode, HealthResponse, HealthStatus, StatsResponse};
use crate::server::log_lines;
use crate::server::registry::Status;

/// `GET /stats`
pub(crate) async fn show_stats(api: web::Data<Api>) -> Result<NoStore<StatsResponse>, ApiError> {
    let status = api.registry.status().await?;
    let counters = status.counters;
    Ok(NoStore(StatsResponse {
        total_peers: status.total_peers as u64,
        active_peers: status.active_peers as u64,
        turn_servers: status.turn_servers as u64,
        uptime: status.uptime_secs,
        timestamp: api.wall_time.text(status.now_ms),
        registrations: counters.registrations,
        heartbeats: counters.heartbeats,
        heartbeats_refused: counters.heartbeats_refused,
        cleanups: counters.cleanups,
        peers_cleaned: counters.peers_cleaned,
        last_cleanup: counters.last_cleanup_ms.map(rfc3339),
        peer_bytes: status.peer_bytes as u64,
        max_peer_bytes: api.max_memory_bytes as u64,
        outage_credit_secs: counters.outage_credit_ms / 1000,
        log_lines_dropped: log_lines::dropped(),
        alternating_registrations: counters.alternating_registrations,
        refusals: api
            .refusals
            .counts()
            .map(|(code, count)| (code.to_string(), count))
            .collect(),
    }))
}

/// `GET /health`
pub(crate) async fn show_health(api: web::Data<Api>) -> HttpResponse {
    // Checks the pulse first, which needs no lock: a stuck actor may hold the registry's lock.
    let status = match api.registry.pulse().health(clock::machine_ms()) {
        Ok(()) => api.registry.status().await.ok(),
        Err(_) => None,
    };
    // Without relaying or new registrations the registry is degraded, but peers keep their places
    // and are listed.
    let does_all =
        |status: &Status| status.cost.mode != CostMode::Shutdown && !status.refuses_registrations;
    let (health, can_serve) = match &status {
        _ if api.is_draining() => (HealthStatus::Draining, false),
        Some(status) if status.is_degraded => (HealthStatus::Degraded, false),
        Some(status) if does_all(status) => (HealthStatus::Healthy, true),
        Some(_) => (HealthStatus::Degraded, true),
        None => (HealthStatus::Degraded, false),
    };
    let mut response = if can_serve {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(HealthResponse {
            status: health,
            service: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            timestamp: status
                .as_ref()
                .map(|status| api.wall_time.text(status.now_ms)),
            uptime: status.as_ref().map_or(0, |status| status.uptime_secs),
            peers: status
                .as_ref()
                .map_or(0, |status| status.active_peers as u64),
            turn_servers: status
                .as_ref()
                .map_or(0, |status| status.turn_servers as u64),
            cost_info: status
                .as_ref()
                .map(|status| health_cost_info(&api, &status.cost)),
            rows_set_aside: status.as_ref().map_or(0, |status| status.rows_set_aside),
            lease_secs: Some(api.lease_secs),
            heartbeat_interval_secs: Some(api.heartbeat_interval_secs),
            wal_bytes: api.registry.pulse().log_bytes(),
            registry_peer_id: api.authentication.peer_id(),
        })
}
