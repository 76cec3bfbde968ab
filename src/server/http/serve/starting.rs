//! The server that responds while the database is loaded.

use std::io;
use std::net::TcpListener;

use actix_web::dev::ServerHandle;
use actix_web::http::ConnectionType;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{App, HttpResponse, web};

use super::capacity::new_starting_connections;
use super::server::{Sockets, serve_app};
use crate::protocol::{ErrorCode, HealthResponse, HealthStatus, StartingResponse, paths};
use crate::server::config::{Config, HttpConfig};
use crate::server::http::errors::{ApiError, row_of};
use crate::server::http::refusals::Refusals;
use crate::server::http::routes::{cors, get};
use crate::server::progress::Progress;
use crate::server::registry::SentBytes;

/// The maximum number of connections. Beyond it the longest idle one is closed for a new one, so that
/// clients that send half a head do not hide the health.
const MAX_CONNECTIONS: usize = 256;

/// The maximum time for the head of a request to arrive, and for an idle connection, in seconds.
const MAX_HEAD_SECS: u64 = 5;

/// How long stopping waits for open requests, in seconds.
const STOP_TIMEOUT_SECS: u64 = 1;

/// What nodes are told before the registry serves.
struct Terms {
    lease_secs: u64,
    heartbeat_interval_secs: u64,
}

/// A server that reports the progress of loading until it is stopped or dropped.
pub(crate) struct Starting(ServerHandle);

impl Starting {
    /// Starts the server on `listeners`.
    pub(crate) fn serve(
        listeners: impl IntoIterator<Item = TcpListener>,
        progress: Progress,
        refusals: Refusals,
        sent: SentBytes,
        config: &Config,
    ) -> io::Result<Self> {
        let terms = web::Data::new(Terms {
            lease_secs: config.registry.peer_timeout_secs,
            heartbeat_interval_secs: config.heartbeat_interval_secs,
        });
        let progress = web::Data::new(progress);
        let make_app = move || {
            App::new()
                .app_data(progress.clone())
                .app_data(terms.clone())
                .wrap(cors())
                .route(paths::HEALTH, get().to(show_health))
                .default_service(web::to(refuse))
        };
        let http = HttpConfig {
            workers: 1,
            max_connections: config.http.max_connections.min(MAX_CONNECTIONS),
            head_timeout_secs: config.http.head_timeout_secs.min(MAX_HEAD_SECS),
            body_timeout_secs: config.http.body_timeout_secs.min(MAX_HEAD_SECS),
            keep_alive_secs: config.http.keep_alive_secs.min(MAX_HEAD_SECS),
            shutdown_timeout_secs: STOP_TIMEOUT_SECS,
            ..config.http
        };
        let sockets = Sockets {
            connections: new_starting_connections(&http),
            http,
            refusals,
            sent,
        };
        let server = serve_app(make_app, listeners, sockets)?;
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Self(handle))
    }

    /// Completes the open requests and stops using the listener.
    pub(crate) async fn stop(self) {
        self.0.stop(true).await;
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // The call itself sends the command; the future only waits until the server has stopped.
        drop(self.0.stop(false));
    }
}

/// `GET /health`
async fn show_health(progress: web::Data<Progress>, terms: web::Data<Terms>) -> HttpResponse {
    let row = row_of(ErrorCode::Starting);
    let retry_after_secs = row.retry_after_secs().unwrap_or(1);
    let (loaded_rows, total_rows) = progress.rows();
    HttpResponse::ServiceUnavailable()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((RETRY_AFTER, retry_after_secs))
        .force_close()
        .json(StartingResponse {
            health: HealthResponse {
                status: HealthStatus::Starting,
                service: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                timestamp: None,
                uptime: 0,
                peers: 0,
                turn_servers: 0,
                cost_info: None,
                rows_set_aside: 0,
                lease_secs: Some(terms.lease_secs),
                heartbeat_interval_secs: Some(terms.heartbeat_interval_secs),
                wal_bytes: 0,
                registry_peer_id: None,
            },
            loaded_rows,
            total_rows,
        })
}

/// Any other path.
async fn refuse(progress: web::Data<Progress>) -> HttpResponse {
    let (loaded_rows, total_rows) = progress.rows();
    let error = ApiError::Starting {
        loaded_rows,
        total_rows,
    };
    let mut response = error.into_response();
    // So that the client's next request reaches the real server.
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
    response
}
