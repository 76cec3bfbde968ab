//! What the handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use actix_web::HttpRequest;

use super::budget::ByteBudget;
use super::compressor::Compressor;
use super::connection::{Connections, Exchange};
use super::errors::ApiError;
use super::lane::{Lane, LaneSlot};
use super::serve::places;
use super::wrong_tokens::WrongTokens;
use crate::protocol::Limits;
use crate::server::config::{AddressPolicy, Config, CostConfig, HttpConfig, Secret};
use crate::server::registry::Registry;

/// Listings that each worker works at together, and large bodies likewise. While the kernel takes
/// the pieces of some, the worker writes others.
const SLOTS_PER_WORKER: usize = 4;

/// Memory for large bodies that are being read or parsed, in bytes. Beyond it the response is 503
/// `overloaded`.
const BODIES_BYTES: usize = 32 << 20;

/// Memory for the stores in listings that are on their way, in bytes.
const LISTED_STORES_BYTES: usize = 32 << 20;

/// What the handlers work with; clones share the registry.
#[derive(Clone)]
pub(in crate::server) struct Api {
    pub(super) registry: Registry,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) limits: Limits,
    pub(super) address_policy: AddressPolicy,
    pub(super) heartbeat_interval_secs: u64,
    pub(super) http: HttpConfig,
    pub(super) cost: CostConfig,
    pub(super) turn_secrets: Vec<Secret>,
    pub(super) admin_token: Option<Secret>,
    pub(super) max_memory_bytes: usize,
    pub(super) wrong_tokens: WrongTokens,
    pub(super) connections: Connections,
    pub(super) bodies: ByteBudget,
    pub(super) large_bodies: Lane,
    pub(super) listed_stores: ByteBudget,
    pub(super) listings: Lane,
    pub(super) compressor: Compressor,
}

impl Api {
    pub(in crate::server) fn new(
        registry: Registry,
        draining: Arc<AtomicBool>,
        config: &Config,
    ) -> Self {
        let slots = config.http.workers * SLOTS_PER_WORKER;
        Self {
            registry,
            draining,
            limits: config.limits,
            address_policy: config.address_policy,
            heartbeat_interval_secs: config.heartbeat_interval_secs,
            http: config.http,
            cost: config.cost.clone(),
            turn_secrets: config.turn_secrets.clone(),
            admin_token: config.admin_token.clone(),
            max_memory_bytes: config.lease.max_memory_bytes,
            wrong_tokens: WrongTokens::default(),
            connections: places::make(&config.http),
            bodies: ByteBudget::new(BODIES_BYTES),
            large_bodies: Lane::new(slots),
            listed_stores: ByteBudget::new(LISTED_STORES_BYTES),
            listings: Lane::new(slots),
            compressor: Compressor::new(available_parallelism().map_or(1, usize::from)),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Waits for a slot to write a listing in. When the client lets its response wait, the slot goes
    /// to the next one.
    pub(super) async fn enter_listing(&self, request: &HttpRequest) -> Result<LaneSlot, ApiError> {
        let slot = self.listings.enter().await?;
        if let Some(exchange) = request.conn_data::<Exchange>() {
            exchange.lend(slot.clone());
        }
        Ok(slot)
    }
}
