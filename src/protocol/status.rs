//! What the registry says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HealthCostInfo;
use super::PeerId;

/// The response to `GET /stats`; counters start at zero with the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatsResponse {
    /// Registered peers, active or not.
    pub total_peers: u64,
    /// Peers whose lease has not run out.
    pub active_peers: u64,
    /// Active peers that offer to relay.
    pub turn_servers: u64,
    /// Seconds since the process started.
    pub uptime: u64,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
    /// Registrations accepted, first ones and updates.
    pub registrations: u64,
    /// Heartbeats accepted.
    pub heartbeats: u64,
    /// Heartbeats refused with `peer_not_found`.
    pub heartbeats_refused: u64,
    /// Cleanups run, whether they removed a peer or not.
    pub cleanups: u64,
    /// Peers that cleanups removed.
    pub peers_cleaned: u64,
    /// When the last cleanup ran, RFC 3339; null before the first.
    pub last_cleanup: Option<String>,
    /// Memory of peers and sessions, in bytes. Zero from a registry that does not say.
    #[serde(default)]
    pub peer_bytes: u64,
    /// Max memory of peers and sessions (`MAX_MEMORY_MB`), in bytes. Zero from a registry that does
    /// not say.
    #[serde(default)]
    pub max_peer_bytes: u64,
    /// Seconds in which the process lived but could not renew leases, so that they stood still: the
    /// process was stopped, or a commit took long.
    #[serde(default)]
    pub outage_credit_secs: u64,
    /// Log lines that were dropped because stderr was not read.
    #[serde(default)]
    pub log_lines_dropped: u64,
    /// Registrations that another one of the same peer had replaced less than a lease before: two
    /// nodes may use one key.
    #[serde(default)]
    pub alternating_registrations: u64,
    /// Requests refused, by the code in the response; codes that were never sent are left out.
    #[serde(default)]
    pub refusals: BTreeMap<String, u64>,
}

/// Whether the registry can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// All is well.
    Healthy,
    /// The process still reads its database; see [`StartingResponse`].
    Starting,
    /// The process is shutting down.
    Draining,
    /// With 503: the database takes no writes, or the registry's actor is gone. With 200: mode
    /// `shutdown`, so no session is granted.
    Degraded,
}

/// The response to `GET /health`: 200 if it can serve, else 503.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthResponse {
    /// Whether the registry can serve.
    pub status: HealthStatus,
    /// Always `peer-registry`.
    pub service: String,
    /// The version of the registry.
    pub version: String,
    /// When the registry responded, RFC 3339; null if the actor is gone.
    pub timestamp: Option<String>,
    /// Seconds since the process started.
    pub uptime: u64,
    /// Active peers.
    pub peers: u64,
    /// Active peers that offer to relay.
    pub turn_servers: u64,
    /// What relaying costs; null if the actor is gone.
    #[serde(default)]
    pub cost_info: Option<HealthCostInfo>,
    /// Rows of the database that could not be read (`peers_quarantine`).
    #[serde(default)]
    pub rows_set_aside: u64,
    /// How long a lease lasts, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_secs: Option<u64>,
    /// How often the registry wants a heartbeat, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval_secs: Option<u64>,
    /// The size of the database's write-ahead log, in bytes.
    #[serde(default)]
    pub wal_bytes: u64,
    /// The registry's own peer id, by whose key it proves itself. `None` if it does not authenticate
    /// peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_peer_id: Option<PeerId>,
}

/// The response to `GET /health` while the database is read: always 503.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartingResponse {
    /// The fields of every health response; its numbers are 0.
    #[serde(flatten)]
    pub health: HealthResponse,
    /// Peers read so far.
    pub loaded_rows: u64,
    /// Peers in the database; 0 until they are counted.
    pub total_rows: u64,
}
