//! A running server: starts the layers, and stops them in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{info, warn};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use super::announcement::announce;
use super::config::Config;
use super::error::{DatabaseError, RunError, StartError};
use super::http::{self, Api, Refusals, ServerHandle, Starting};
use super::progress::Progress;
use super::registry::{Registry, RegistryError, SentBytes};
use super::signals::Signals;
use super::storage::{FilesLost, Store};
use super::wall_clock;
use super::watchdog::Watchdog;
use crate::clock::Clock;

/// The maximum number of connections that wait to be accepted while all workers are busy.
const BACKLOG: u32 = 1024;

/// A running server.
pub struct Server {
    addr: SocketAddr,
    registry: Registry,
    draining: Arc<AtomicBool>,
    drain_delay: Duration,
    http: ServerHandle,
    /// Resolves when the actor is gone.
    stopped: oneshot::Receiver<FilesLost>,
    _watchdog: Watchdog,
}

impl Server {
    /// Starts a server on the current actix system, and returns when it serves.
    ///
    /// It listens from the beginning: while the database is read, the response to every request is
    /// 503 with the progress. Dropping the future cancels the start.
    ///
    /// # Errors
    /// Says what prevents the start, and names the setting.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        wall_clock::check(&*clock)?;
        let cannot_listen = |source| StartError::Listen {
            addr: config.listen_addr,
            source,
        };
        let listener = listen(config.listen_addr).map_err(cannot_listen)?;
        let addr = listener.local_addr().unwrap_or(config.listen_addr);
        let progress = Progress::default();
        let shared = listener.try_clone().map_err(cannot_listen)?;
        let refusals = Refusals::default();
        let starting = Starting::serve(shared, progress.clone(), refusals.clone(), config)
            .map_err(cannot_listen)?;
        let store = Store::open(&config.database_path).await?;
        for notice in store.notices() {
            warn!("{notice}");
        }
        let path = store.path().to_owned();
        let sent = SentBytes::default();
        let (registry, started) = Registry::start(store, clock, config, sent.clone(), &progress)
            .await
            .map_err(|error| StartError::Resume {
                path: path.clone(),
                source: DatabaseError::storage(error),
            })?;
        let watchdog = Watchdog::start(registry.pulse());
        let draining = Arc::new(AtomicBool::new(false));
        let api = Api::new(registry.clone(), Arc::clone(&draining), refusals, config);
        starting.stop().await;
        let http = http::serve(api, listener, sent).map_err(cannot_listen)?;
        let handle = http.handle();
        actix::spawn(http);
        // Last, because whoever reads this line may send a request at once.
        announce(config, addr, &path, &started);
        Ok(Self {
            addr,
            registry,
            draining,
            drain_delay: Duration::from_secs(config.http.drain_delay_secs),
            http: handle,
            stopped: started.stopped,
            _watchdog: watchdog,
        })
    }

    /// The address on which the server listens. If the setting had port 0, it has the port that the
    /// system chose.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until a signal comes, then stops in order. A second signal ends the process at once.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), RunError> {
        tokio::select! {
            name = signals.next() => info!("{name} received, stopping"),
            lost = &mut self.stopped => {
                self.http.stop(false).await;
                return Err(match lost {
                    Ok(lost) => RunError::FilesLost(DatabaseError::files_lost(lost)),
                    Err(_) => RunError::ActorStopped,
                });
            }
        }
        tokio::select! {
            result = self.stop() => result,
            _ = signals.next() => end_at_once(),
        }
    }

    /// Reports that it is draining, waits for `DRAIN_DELAY_SECS`, stops accepting connections,
    /// finishes the requests under way, writes what waits, and closes the database.
    pub async fn stop(self) -> Result<(), RunError> {
        self.draining.store(true, Ordering::Relaxed);
        // In this time load balancers learn from `/health` that the server is draining.
        tokio::time::sleep(self.drain_delay).await;
        self.http.stop(true).await;
        match self.registry.drain().await {
            Ok(()) => {
                info!("stopped; the database is closed");
                Ok(())
            }
            Err(RegistryError::Stopped) => Err(RunError::ActorStopped),
            Err(_) => Err(RunError::Close),
        }
    }
}

fn end_at_once() -> ! {
    warn!("second signal received, ending at once; what was acknowledged is on disk");
    log::logger().flush();
    std::process::exit(130);
}

fn listen(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Lets a restart take the port while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)?.into_std()
}
