//! Connects the parts of the HTTP server: sockets, the gate and the application.

use std::fmt::Debug;
use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use rustix::net::sockopt::{
    set_socket_recv_buffer_size, set_socket_send_buffer_size, set_tcp_nodelay, set_tcp_user_timeout,
};

use super::capacity::spare_connections;
use super::gate;
use crate::server::config::HttpConfig;
use crate::server::http::authenticate::authenticate;
use crate::server::http::connection::{Connection, Connections, Exchange, Timeouts};
use crate::server::http::context::Api;
use crate::server::http::refusals::Refusals;
use crate::server::http::routes::{app, cors};
use crate::server::registry::SentBytes;

/// The time limit for closing a connection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Threads of each worker for blocking work. Only compression uses them, and it has its own limit.
const BLOCKING_THREADS: usize = 4;

/// The send buffer of a connection, in bytes, which limits what the kernel holds for a client that
/// does not read. The kernel may use twice as much. Large responses get a larger buffer.
const SEND_BUFFER_BYTES: usize = 16 << 10;

/// The receive buffer of a connection, in bytes, which limits what the kernel holds unread.
const RECEIVE_BUFFER_BYTES: usize = 64 << 10;

/// What the connections of a server share.
pub(crate) struct Sockets {
    pub(crate) http: HttpConfig,
    pub(crate) connections: Connections,
    pub(crate) refusals: Refusals,
    pub(crate) sent: SentBytes,
}

/// Starts the server on `listeners`. It runs until its handle stops it.
pub(crate) fn serve(
    api: Api,
    listeners: impl IntoIterator<Item = TcpListener>,
    sent: SentBytes,
) -> io::Result<Server> {
    let sockets = Sockets {
        http: api.http,
        connections: api.connections.clone(),
        refusals: api.refusals.clone(),
        sent,
    };
    let api = web::Data::new(api);
    let make_app = move || {
        let (api, authenticating) = (api.clone(), api.clone());
        App::new()
            .wrap_fn(move |request, app| authenticate(&authenticating, request, app))
            // Outside of the authentication, so that web pages can read its responses.
            .wrap(cors())
            .configure(move |config| app(config, api.clone()))
    };
    serve_app(make_app, listeners, sockets)
}

/// Serves the application that `make_app` makes for each worker.
///
/// This replaces `actix_web::HttpServer`, which does not accept another type of socket.
pub(crate) fn serve_app<F, I, S, B>(
    make_app: F,
    listeners: impl IntoIterator<Item = TcpListener>,
    sockets: Sockets,
) -> io::Result<Server>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>> + 'static,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: Debug,
    B: MessageBody + Unpin + 'static,
{
    let Sockets {
        http,
        connections,
        refusals,
        sent,
    } = sockets;
    // More than fit in the table, so that a new connection is accepted while an evicted one closes.
    let max_accepted = connections.max() + spare_connections(&http);
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    let timeouts = Timeouts::of(&http);
    let factory = move || {
        let app = map_config(make_app(), |()| AppConfig::default());
        let counted = refusals.clone();
        let gated = apply_fn_factory(app, move |request: Request, app: &_| {
            gate::handle(request, app, &counted)
        });
        let stopping = stopping.clone();
        let http_service = HttpService::build()
            // The connection itself limits the time for heads, idle time and responses.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.exchange());
            })
            .h1(gated);
        let (connections, sent) = (connections.clone(), sent.clone());
        let refusals = refusals.clone();
        fn_service(move |stream: TcpStream| {
            let address = stream.peer_addr().ok();
            let entered = connections.enter(address.map(|address| address.ip()));
            ready(match entered {
                Ok(place) => {
                    let exchange = Exchange::new(place, http.max_head_bytes, timeouts);
                    Ok((
                        Connection::new(stream, sent.clone(), refusals.clone(), exchange),
                        address,
                    ))
                }
                // Dropping the stream closes it; nothing reads the error.
                Err(_) => Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into())),
            })
        })
        .and_then(http_service)
    };
    let mut builder = builder
        .workers(http.workers)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_concurrent_connections(max_accepted.div_ceil(http.workers))
        .shutdown_timeout(http.shutdown_timeout_secs)
        .disable_signals();
    for listener in listeners {
        set_socket_options(&listener, http.response_timeout_secs)?;
        builder = builder.listen("http", listener, factory.clone())?;
    }
    Ok(builder.run())
}

/// Sets the options of `listener`, which the accepted connections inherit.
fn set_socket_options(listener: &TcpListener, response_timeout_secs: u64) -> io::Result<()> {
    set_socket_send_buffer_size(listener, SEND_BUFFER_BYTES)?;
    set_socket_recv_buffer_size(listener, RECEIVE_BUFFER_BYTES)?;
    // Disables Nagle's algorithm: the last piece of a response must not wait for the acknowledgement
    // of the one before, which clients delay by up to 40 ms.
    set_tcp_nodelay(listener, true)?;
    // The kernel discards unsent data of a client that acknowledges nothing for this time.
    let timeout_ms = response_timeout_secs.saturating_mul(1000);
    set_tcp_user_timeout(listener, u32::try_from(timeout_ms).unwrap_or(u32::MAX))?;
    Ok(())
}
