//! The HTTP interface: what the handlers share, and the routes to them.

mod body;
mod budget;
mod compression;
mod connection;
mod cost;
mod errors;
mod gate;
mod lane;
mod open_files;
mod origin;
mod peers;
mod query;
mod response;
mod serve;
mod sessions;
mod starting;
mod status;
mod turn;
mod wrong_tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use actix_cors::Cors;
use actix_web::http::header::{ETAG, RETRY_AFTER};
use actix_web::{Handler, Resource, Responder, Route, guard, web};

use crate::protocol::Limits;
use crate::server::config::{AddressPolicy, Config, CostConfig, HttpConfig, Secret};
use crate::server::registry::Registry;
use body::JsonBody;
use budget::ByteBudget;
use compression::Compressor;
use connection::Connections;
use errors::ApiError;
use lane::Lane;
use wrong_tokens::WrongTokens;

pub(super) use serve::serve;
pub(super) use starting::Starting;

/// Listings that each worker works at together, and large bodies likewise. With two of them a worker
/// is idle while the kernel takes their pieces.
const SLOTS_PER_WORKER: usize = 4;

/// Memory for the stores in listings that are on their way, in bytes.
const LISTED_STORES_BYTES: usize = 32 << 20;

/// What the handlers work with; clones share the registry.
#[derive(Clone)]
pub(super) struct Api {
    registry: Registry,
    draining: Arc<AtomicBool>,
    limits: Limits,
    address_policy: AddressPolicy,
    heartbeat_interval_secs: u64,
    http: HttpConfig,
    cost: CostConfig,
    turn_secrets: Vec<Secret>,
    admin_token: Option<Secret>,
    max_memory_bytes: usize,
    wrong_tokens: WrongTokens,
    connections: Connections,
    bodies: ByteBudget,
    large_bodies: Lane,
    listed_stores: ByteBudget,
    listings: Lane,
    compressor: Compressor,
}

impl Api {
    pub(super) fn new(registry: Registry, draining: Arc<AtomicBool>, config: &Config) -> Self {
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
            connections: serve::make_places(&config.http),
            bodies: body::budget(),
            large_bodies: Lane::new(slots),
            listed_stores: ByteBudget::new(LISTED_STORES_BYTES),
            listings: Lane::new(slots),
            compressor: Compressor::new(available_parallelism().map_or(1, usize::from)),
        }
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// All that is served.
fn app(app: &mut web::ServiceConfig, api: web::Data<Api>) {
    let has_operator = api.admin_token.is_some();
    app.app_data(api).configure(routes);
    if has_operator {
        app.configure(admin_routes);
    }
}

fn routes(app: &mut web::ServiceConfig) {
    let list_peers = get().to(peers::list_peers);
    app.service(post("/register", peers::register_peer))
        .service(post("/heartbeat", peers::renew_lease))
        .service(post("/register-turn-server", turn::register_turn_server))
        .service(resource("/peers", "GET, HEAD").route(list_peers))
        .service(resource("/turn-servers", "GET, HEAD").route(get().to(turn::list_turn_servers)))
        .service(post("/allocate-turn", sessions::allocate_turn))
        .service(post("/release-turn", sessions::release_turn))
        .service(post("/report-turn-usage", sessions::report_turn_usage))
        .service(resource("/cost-stats", "GET, HEAD").route(get().to(cost::show_cost_stats)))
        .service(resource("/stats", "GET, HEAD").route(get().to(status::show_stats)))
        .service(resource("/health", "GET, HEAD").route(get().to(status::show_health)))
        .default_service(web::to(|| async { ApiError::NoSuchPath.into_response() }));
}

/// What the operator may do. Without a token these paths do not exist.
fn admin_routes(app: &mut web::ServiceConfig) {
    let put = |path, route: Route| resource(path, "PUT").route(route);
    let tier = "/admin/peers/{peerId}/tier";
    app.service(put(tier, web::put().to(cost::set_tier)))
        .service(put("/admin/spend", web::put().to(cost::set_spend)))
        .service(put("/admin/mode", web::put().to(cost::set_mode)));
}

/// A resource that takes a body by POST.
fn post<F, R>(path: &str, handler: F) -> Resource
where
    F: Handler<(web::Data<Api>, JsonBody), Output = R>,
    R: Responder + 'static,
{
    resource(path, "POST").route(web::post().to(handler))
}

fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A resource that answers any method but its own with the ones it allows.
fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move || async move {
        ApiError::WrongMethod { allowed }.into_response()
    }))
}

/// Web pages of any origin may use the registry; it knows no cookies and sends no credentials.
fn cors() -> Cors {
    Cors::default()
        .allow_any_origin()
        // Any method may be asked about; the resources say which they take, in the one error shape.
        .allow_any_method()
        .allow_any_header()
        .expose_headers([ETAG, RETRY_AFTER])
        .send_wildcard()
        // The answer is the same whatever the origin.
        .disable_vary_header()
        .max_age(86_400)
}
