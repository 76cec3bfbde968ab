//! The server that responds while the database is loaded.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::KeepAlive;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use crate::protocol::{ErrorCode, HealthResponse, HealthStatus, StartingResponse, paths};
use crate::server::config::Config;
use crate::server::http::errors::{ApiError, row_of};
use crate::server::http::refusals::{Example, Refusals};
use crate::server::http::routes::{cors, get};
use crate::server::progress::Progress;

/// The maximum number of connections; others wait until the registry serves.
const MAX_CONNECTIONS: usize = 256;

/// The time limit for the head of a request to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

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
        config: &Config,
    ) -> io::Result<Self> {
        let terms = web::Data::new(Terms {
            lease_secs: config.registry.peer_timeout_secs,
            heartbeat_interval_secs: config.heartbeat_interval_secs,
        });
        let progress = web::Data::new(progress);
        let refusals = web::Data::new(refusals);
        let mut server = HttpServer::new(move || {
            App::new()
                .app_data(progress.clone())
                .app_data(refusals.clone())
                .app_data(terms.clone())
                .wrap(cors())
                .route(paths::HEALTH, get().to(show_health))
                .default_service(web::to(refuse))
        })
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        // Closes each connection, so that the client's next request reaches the real server.
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(STOP_TIMEOUT_SECS)
        .disable_signals();
        for listener in listeners {
            server = server.listen(listener)?;
        }
        let server = server.run();
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
            },
            loaded_rows,
            total_rows,
        })
}

/// Any other path.
async fn refuse(
    progress: web::Data<Progress>,
    refusals: web::Data<Refusals>,
    request: HttpRequest,
) -> HttpResponse {
    let (loaded_rows, total_rows) = progress.rows();
    let error = ApiError::Starting {
        loaded_rows,
        total_rows,
    };
    refusals.record(&error.refusal(), || Example::of(&request));
    error.into_response()
}
