//! The HTTP interface: routes, and nothing that a route could do without.

mod body;
mod compression;
mod connection;
mod cost;
mod errors;
mod peers;
mod query;
mod sessions;
mod starting;
mod status;
mod turn;

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_cors::Cors;
use actix_http::{HttpService, Request};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, apply_fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Service};
use actix_web::http::header::{ETAG, RETRY_AFTER};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Handler, Resource, Responder, Route, guard, web};

use crate::protocol::Limits;
use crate::server::config::{AddressPolicy, Config, CostConfig, HttpConfig, Secret};
use crate::server::registry::{Registry, SentBytes};
use body::JsonBody;
use connection::{Connection, Turn};
use errors::ApiError;

pub(super) use starting::Starting;

/// How long the head of a request may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept. Heartbeats come every two minutes, so a connection serves
/// one burst of requests, not a node's whole life.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a connection may take to close.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
}

impl Api {
    pub(super) fn new(registry: Registry, draining: Arc<AtomicBool>, config: &Config) -> Self {
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
        }
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// Starts to serve on `listener`; the server runs until it is stopped by its handle.
///
/// This does what `actix_web::HttpServer` does, which takes no sockets but its own.
pub(super) fn serve(api: Api, listener: TcpListener, sent: SentBytes) -> io::Result<Server> {
    let http = api.http;
    let has_operator = api.admin_token.is_some();
    let api = web::Data::new(api);
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    let app = move || {
        let app = App::new()
            .app_data(api.clone())
            .wrap(cors())
            .configure(routes)
            .configure(|app| {
                if has_operator {
                    admin_routes(app);
                }
            });
        let app = map_config(app, |()| AppConfig::default())
            .map_err(|error: actix_web::Error| error.error_response());
        let timed = apply_fn_factory(app, |request: Request, app: &_| {
            let turn = request.conn_data::<Turn>().cloned();
            if let Some(turn) = &turn {
                turn.begin_answer();
            }
            let answer = Service::call(app, request);
            async move {
                let answer = answer.await;
                if let Some(turn) = turn {
                    turn.end_answer();
                }
                answer
            }
        });
        let stopping = stopping.clone();
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.turn());
            })
            .h1(timed);
        let sent = sent.clone();
        fn_service(move |stream: TcpStream| {
            let peer_addr = stream.peer_addr().ok();
            ready(Ok((Connection::new(stream, sent.clone()), peer_addr)))
        })
        .and_then(http)
    };
    let server = builder
        .workers(http.workers)
        .max_concurrent_connections(http.max_connections.div_ceil(http.workers))
        .shutdown_timeout(http.shutdown_timeout_secs)
        .disable_signals()
        .listen("http", listener, app)?;
    Ok(server.run())
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
