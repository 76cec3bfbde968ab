//! A running server: starts the layers, and stops them in order.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::{info, warn};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::announcement::announce;
use super::config::{Config, SecretsInUse};
use super::error::{DatabaseError, RunError, StartError};
use super::http::{self, Api, Authentication, Refusals, ServerHandle, Starting};
use super::listeners::Listeners;
use super::open_files::raise_open_files;
use super::progress::Progress;
use super::registry::{Registry, RegistryError, SentBytes};
use super::registry_keys::{KeysError, RegistryKeys};
use super::signals::Signals;
use super::storage::{FilesLost, OpenError, Store};
use super::wall_clock;
use super::watchdog::Watchdog;
use crate::clock::Clock;
use crate::protocol::authentication::PublicHosts;

/// The address of a server without one.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The pause between two attempts to lock the database.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// How often it is checked whether the keys are old.
const ROTATION_INTERVAL: Duration = Duration::from_secs(3600);
/// Files that a server opens beside connections: the database, its log, sockets, timers.
const FILES: usize = 40;

/// Files that each HTTP thread opens beside connections.
const FILES_PER_WORKER: usize = 4;

/// A running server.
pub struct Server {
    addrs: Vec<SocketAddr>,
    registry: Registry,
    draining: Arc<AtomicBool>,
    drain_delay: Duration,
    secrets: SecretsInUse,
    http: ServerHandle,
    /// Resolves when the HTTP server has ended, or panicked.
    http_ended: JoinHandle<io::Result<()>>,
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
        let workers = config.http.workers;
        raise_open_files(FILES + workers * FILES_PER_WORKER)
            .map_err(|source| StartError::OpenFiles { workers, source })?;
        wall_clock::check(&*clock)?;
        for notice in &config.notices {
            warn!("{notice}");
        }
        let first = config.listen_addrs.first().copied();
        let cannot_listen = |source| StartError::Listen {
            addr: first.unwrap_or(NOWHERE),
            source,
        };
        let listeners = Listeners::open(&config.listen_addrs)?;
        let addrs = listeners.addrs().map_err(cannot_listen)?;
        let progress = Progress::default();
        let shared = listeners.share().map_err(cannot_listen)?;
        let refusals = Refusals::default();
        let sent = SentBytes::default();
        let starting = Starting::serve(
            shared,
            progress.clone(),
            refusals.clone(),
            sent.clone(),
            config,
        )
        .map_err(cannot_listen)?;
        let store = open(&config.database_path, config.lock_wait_secs).await?;
        for notice in store.notices() {
            warn!("{notice}");
        }
        let path = store.path().to_owned();
        let keys = RegistryKeys::beside(&path, clock.now_ms())?;
        let (registry, started) =
            Registry::start(store, Arc::clone(&clock), config, sent.clone(), &progress)
                .await
                .map_err(|error| StartError::Resume {
                    path: path.clone(),
                    source: DatabaseError::storage(error),
                })?;
        let watchdog = Watchdog::start(registry.pulse());
        let draining = Arc::new(AtomicBool::new(false));
        let authentication = authentication(config, &addrs, &keys)?;
        actix::spawn(rotate(keys, authentication.clone(), Arc::clone(&clock)));
        let api = Api::new(
            registry.clone(),
            Arc::clone(&draining),
            refusals,
            authentication,
            config,
            clock,
        );
        let secrets = api.secrets.clone();
        starting.stop().await;
        let http = http::serve(api, listeners, sent).map_err(cannot_listen)?;
        let handle = http.handle();
        let http_ended = actix::spawn(http);
        // Last, because whoever reads this line may send a request at once.
        announce(config, &addrs, &path, &started);
        Ok(Self {
            addrs,
            registry,
            draining,
            drain_delay: Duration::from_secs(config.http.drain_delay_secs),
            secrets,
            http: handle,
            http_ended,
            stopped: started.stopped,
            _watchdog: watchdog,
        })
    }

    /// The first address on which the server listens. If the setting had port 0, it has the port that
    /// the system chose.
    pub fn addr(&self) -> SocketAddr {
        self.addrs.first().copied().unwrap_or(NOWHERE)
    }

    /// All addresses on which the server listens.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The secrets that the server uses, to replace them.
    pub fn secrets(&self) -> SecretsInUse {
        self.secrets.clone()
    }

    /// Serves until a signal to end comes, then stops in order. A second signal ends the process at once.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), RunError> {
        tokio::select! {
            name = signals.next() => info!("{name} received, stopping"),
            ended = &mut self.http_ended => {
                let error = match ended {
                    Ok(Err(error)) => error,
                    Ok(Ok(())) => io::Error::other("it ended by itself"),
                    Err(error) => error.into(),
                };
                return Err(RunError::Http(error));
            }
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
    pub async fn stop(mut self) -> Result<(), RunError> {
        self.draining.store(true, Ordering::Relaxed);
        // In this time load balancers learn from `/health` that the server is draining.
        tokio::time::sleep(self.drain_delay).await;
        self.http.stop(true).await;
        match self.registry.drain().await {
            Ok(()) => {
                info!("stopped; the database is closed");
                Ok(())
            }
            Err(error) => Err(match (self.stopped.try_recv(), error) {
                (Ok(lost), _) => RunError::FilesLost(DatabaseError::files_lost(lost)),
                (Err(_), RegistryError::Stopped) => RunError::ActorStopped,
                (Err(_), _) => RunError::Close,
            }),
        }
    }
}

/// The registry's side of the authentication. By default it has the loopback names of the machine.
fn authentication(
    config: &Config,
    addrs: &[SocketAddr],
    keys: &RegistryKeys,
) -> Result<Authentication, KeysError> {
    let loopback = || {
        let names = addrs.iter().map(|addr| PublicHosts::loopback(addr.port()));
        names.fold(PublicHosts::default(), PublicHosts::and)
    };
    let hosts = config
        .authentication
        .public_hosts
        .clone()
        .unwrap_or_else(loopback);
    Ok(Authentication::new(config, hosts, keys.server_keys()?))
}

/// Replaces the keys that seal tokens when they are old, as long as the server runs.
async fn rotate(mut keys: RegistryKeys, authentication: Authentication, clock: Arc<dyn Clock>) {
    loop {
        if keys.rotate_if_due(clock.now_ms())
            && let Ok(keys) = keys.server_keys()
        {
            authentication.replace_keys(keys);
        }
        tokio::time::sleep(ROTATION_INTERVAL).await;
    }
}

/// Opens the database. Waits until another server has released it, but at most `max_wait_secs`.
async fn open(path: &Path, max_wait_secs: u64) -> Result<Store, OpenError> {
    let max_wait = Duration::from_secs(max_wait_secs);
    let mut waited = Duration::ZERO;
    loop {
        match Store::open(path).await {
            Err(OpenError::InUse { path }) if waited < max_wait => {
                if waited.is_zero() {
                    let path = path.display();
                    warn!(
                        "the database {path} is in use by another peer-registry; waiting up to \
                         {max_wait_secs} s for it (LOCK_WAIT_SECS)"
                    );
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
                waited += LOCK_INTERVAL;
            }
            opened => return opened,
        }
    }
}

fn end_at_once() -> ! {
    warn!("second signal received, ending at once; what was acknowledged is on disk");
    log::logger().flush();
    std::process::exit(130);
}
