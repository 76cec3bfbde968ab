//! The state that all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use actix_web::HttpRequest;

use super::address_block::AddressBlock;
use super::authentication::Authentication;
use super::budget::ByteBudget;
use super::compressor::Compressor;
use super::connection::{Connections, Exchange};
use super::errors::ApiError;
use super::lane::{Lane, LaneSlot};
use super::refusals::Refusals;
use super::serve::new_connections;
use super::wall_time::WallTime;
use super::wrong_tokens::WrongTokens;
use crate::clock::Clock;
use crate::protocol::{self, Limits};
use crate::server::config::{Config, CostConfig, HttpConfig, SecretsInUse};
use crate::server::policy::address_rules::AddressRules;
use crate::server::registry::{Receipt, Registry};

/// Listings that are written at the same time, per worker; the same number applies to large bodies.
/// More than one, so that the worker writes one listing while the kernel sends another.
const SLOTS_PER_WORKER: usize = 4;

/// Memory for large request bodies that are being read or handled, in bytes. Above it the response
/// is 503 `overloaded`.
const BODIES_BYTES: usize = 32 << 20;

/// Memory that listings keep while they are being sent, in bytes: their peers, which may have been
/// replaced or removed meanwhile, and copies of stores. Above it pages are shorter.
const KEPT_BYTES: usize = 32 << 20;

/// Memory for listings that are sent compressed, in bytes: they are held as a whole. Above it listings
/// are sent uncompressed.
const WHOLE_BODIES_BYTES: usize = 16 << 20;

/// Memory for long pieces of listings that are being sent, in bytes. Above it pieces are short, so
/// that clients that never read cost little.
const LONG_PIECES_BYTES: usize = 8 << 20;

/// The state of the handlers; clones share the registry and all limits.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) registry: Registry,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) limits: Limits,
    pub(crate) address_rules: AddressRules,
    pub(crate) lease_secs: u64,
    pub(crate) heartbeat_interval_secs: u64,
    pub(crate) http: HttpConfig,
    pub(crate) cost: CostConfig,
    pub(crate) wall_time: WallTime,
    pub(crate) authentication: Authentication,
    pub(crate) turn_requires_proof: bool,
    pub(crate) secrets: SecretsInUse,
    pub(crate) max_memory_bytes: usize,
    pub(crate) wrong_tokens: WrongTokens,
    pub(crate) refusals: Refusals,
    pub(crate) connections: Connections,
    pub(crate) bodies: ByteBudget,
    pub(crate) large_bodies: Lane,
    pub(crate) kept_by_listings: ByteBudget,
    pub(crate) whole_bodies: ByteBudget,
    pub(crate) long_pieces: ByteBudget,
    pub(crate) listings: Lane,
    pub(crate) compressor: Compressor,
}

impl Api {
    pub(crate) fn new(
        registry: Registry,
        draining: Arc<AtomicBool>,
        refusals: Refusals,
        authentication: Authentication,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // All workers share the lanes, so a worker can get more than its part while others idle.
        let slots = config.http.workers * SLOTS_PER_WORKER;
        Self {
            registry,
            draining,
            limits: config.limits,
            address_rules: AddressRules {
                policy: config.address_policy,
                private_addresses: config.private_addresses,
                max_addresses: config.limits.addresses,
            },
            lease_secs: config.registry.peer_timeout_secs,
            heartbeat_interval_secs: config.heartbeat_interval_secs,
            http: config.http,
            cost: config.cost.clone(),
            wall_time: WallTime::new(clock),
            authentication,
            turn_requires_proof: config.authentication.turn_requires_proof,
            secrets: SecretsInUse::new(config),
            max_memory_bytes: config.registry.max_memory_bytes,
            wrong_tokens: WrongTokens::default(),
            refusals,
            connections: new_connections(&config.http),
            bodies: ByteBudget::new(BODIES_BYTES),
            large_bodies: Lane::new(slots),
            kept_by_listings: ByteBudget::new(KEPT_BYTES),
            whole_bodies: ByteBudget::new(WHOLE_BODIES_BYTES),
            long_pieces: ByteBudget::new(LONG_PIECES_BYTES),
            listings: Lane::new(slots),
            compressor: Compressor::new(available_parallelism().map_or(1, usize::from)),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Returns what the response to a mutation says of it.
    pub(crate) fn receipt(&self, receipt: &Receipt) -> protocol::Receipt {
        protocol::Receipt {
            cleaned_expired_peers: receipt.cleaned as u64,
            timestamp: self.wall_time.text(receipt.last_seen_ms),
        }
    }

    /// Waits for a slot to write a listing. If the client stops receiving its response, its
    /// connection releases the slot.
    pub(crate) async fn enter_listing(&self, request: &HttpRequest) -> Result<LaneSlot, ApiError> {
        let slot = self
            .listings
            .enter(AddressBlock::of_client(request))
            .await?;
        if let Some(exchange) = request.conn_data::<Exchange>() {
            exchange.set_slot(slot.clone());
        }
        Ok(slot)
    }
}
