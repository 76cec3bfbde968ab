//! The registry server: puts the layers together and takes them down in order.
//!
//! `http` parses and answers, `registry` decides and remembers, `storage` keeps, `policy` holds the
//! rules, `config` and `model` the words. Each imports only what stands after it.

pub mod config;
mod http;
pub mod log_lines;
mod model;
mod policy;
mod progress;
mod registry;
mod resident;
pub mod simulation;
mod storage;
mod wall_clock;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use log::{info, warn};
use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::clock::{self, Clock};
use config::Config;
use http::{Api, Starting};
use progress::Progress;
use registry::{Registry, RegistryError, SentBytes, Started};
use storage::{OpenError, StorageError, Store};
use watchdog::Watchdog;

pub use storage::FilesLost;
pub use wall_clock::system_clock;

/// Connections that the system holds for us while all workers are busy.
const BACKLOG: u32 = 1024;

/// How often at most the log says that the file size limit is reached.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// Why the server did not start. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or not this machine's.
    #[error("cannot listen on {addr} (LISTEN_ADDR)")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The clock is not set.
    #[error("the clock says {now}, which cannot be: it must be set to a time from 2020 to 2099")]
    Clock {
        /// What it says.
        now: String,
    },
    /// The database cannot be used; the message says which file, why, and what to do.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database was opened and then failed.
    #[error("cannot read the database {path} (DATABASE_URL)")]
    Resume {
        /// The database file.
        path: PathBuf,
        /// What failed.
        source: StorageError,
    },
}

impl StartError {
    /// Whether a later start may succeed without anybody's doing: the address, the database, the
    /// disk or the clock was not ready.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Listen { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
            ),
            Self::Clock { .. } => true,
            Self::Open(error) => error.may_pass(),
            Self::Resume { source, .. } => source.may_pass(),
        }
    }
}

/// Why a server that ran came to an end other than the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The actor panicked; what it had acknowledged is on disk.
    #[error("the registry's actor has stopped; start again to take up the leases")]
    ActorStopped,
    /// The database, or a file beside it, was taken away; the message says where the data is.
    #[error(transparent)]
    FilesLost(#[from] FilesLost),
    /// The last writes or the checkpoint failed; what was acknowledged is on disk all the same.
    #[error("the database could not be closed cleanly")]
    Close,
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[from] io::Error),
}

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
    /// It listens from the beginning: while the database is read, every request is answered by 503
    /// and how far that is. To drop the future ends the start.
    ///
    /// # Errors
    /// Names the setting that stands in the way.
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
        let starting = Starting::serve(shared, progress.clone()).map_err(cannot_listen)?;
        let store = Store::open(&config.database_path).await?;
        for notice in store.notices() {
            warn!("{notice}");
        }
        let path = store.path().to_owned();
        let sent = SentBytes::default();
        let (registry, started) = Registry::start(store, clock, config, sent.clone(), &progress)
            .await
            .map_err(|source| StartError::Resume {
                path: path.clone(),
                source,
            })?;
        let watchdog = Watchdog::start(registry.pulse());
        let draining = Arc::new(AtomicBool::new(false));
        let api = Api::new(registry.clone(), Arc::clone(&draining), config);
        starting.stop().await;
        let http = http::serve(api, listener, sent).map_err(cannot_listen)?;
        let handle = http.handle();
        actix::spawn(http);
        // Last, as who reads that it listens will ask at once.
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

    /// Where the server listens; the port is the one the system chose if the setting was 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until a signal comes, then stops in order. A second signal ends the process at once.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), RunError> {
        tokio::select! {
            name = signals.next() => info!("{name} received, stopping"),
            lost = &mut self.stopped => {
                self.http.stop(false).await;
                return Err(lost.map_or(RunError::ActorStopped, RunError::FilesLost));
            }
        }
        tokio::select! {
            result = self.stop() => result,
            _ = signals.next() => end_at_once(),
        }
    }

    /// Says that it is draining, after `DRAIN_DELAY_SECS` stops accepting, finishes what is in
    /// flight, writes what waits, and closes the database.
    pub async fn stop(self) -> Result<(), RunError> {
        self.draining.store(true, Ordering::Relaxed);
        // Who balances load by the health has this long to learn of it.
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

/// The signals that end a server: SIGTERM and SIGINT.
///
/// To be listened for before the server starts, so that one that comes early is not missed. From
/// then on SIGXFSZ does not end the process: a write over the file size limit fails.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen, on the current runtime.
    pub fn listen() -> io::Result<Self> {
        let over_limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        tokio::spawn(note_file_size_limit(signal(over_limit)?));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and tells its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Says that a write went over the file size limit of the process. Unless somebody listens for this
/// signal it ends the process; now the write fails, as it does on a full disk.
async fn note_file_size_limit(mut over_limit: Signal) {
    while over_limit.recv().await.is_some() {
        warn!("a write was refused: disk full or file size limit (LimitFSIZE, ulimit -f)");
        tokio::time::sleep(NOTE_INTERVAL).await;
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

/// What one client, and all of them together, can make the server take.
fn announce_bounds(config: &Config) {
    let (http, sessions) = (&config.http, &config.sessions);
    info!(
        "  at most {} peers in {} MiB, {} requests at a time, {} connections, {} from one address",
        config.lease.max_peers,
        config.lease.max_memory_bytes >> 20,
        http.max_in_flight,
        http.max_connections,
        http.max_connections_per_address,
    );
    info!(
        "  at most {} bytes of a head, {} of a body, {} of a listing; {} peers on a page; {} s to \
         receive a response",
        http.max_head_bytes,
        http.max_body_bytes,
        http.max_response_bytes,
        http.max_listed,
        http.response_timeout_secs,
    );
    info!(
        "  at most {} new TURN sessions of a peer in a minute; {} ended ones kept, {} of one peer",
        sessions.max_new_per_minute, sessions.max_ended, sessions.max_ended_per_peer,
    );
    info!(
        "  at most {} log lines of a kind in {} s",
        log_lines::MAX_LINES_PER_WINDOW,
        log_lines::WINDOW_MS / 1000
    );
}

fn announce(config: &Config, addr: SocketAddr, path: &std::path::Path, started: &Started) {
    let lease = &config.lease;
    let credited_secs = started
        .resumed
        .credited
        .map_or(0, |outage| (outage.until_ms - outage.from_ms) / 1000);
    info!("peer-registry {}", env!("CARGO_PKG_VERSION"));
    info!(
        "  listening on http://{addr} with {} workers",
        config.http.workers
    );
    info!("  database {}", path.display());
    info!(
        "  timeout {} s, heartbeat every {} s, backup cleanup every {} s",
        lease.peer_timeout_secs, config.heartbeat_interval_secs, lease.cleanup_interval_secs
    );
    info!("  address policy {}", config.address_policy.as_str());
    info!(
        "  relay budget {} US dollars a month, {} TURN secrets, admin paths {}",
        config.cost.monthly_budget_usd,
        config.turn_secrets.len(),
        if config.admin_token.is_some() {
            "on"
        } else {
            "off"
        },
    );
    announce_bounds(config);
    if let Some(forced) = config.cost.mode_override {
        warn!(
            "  mode {} is forced until {}, whatever relaying costs",
            forced.mode,
            clock::rfc3339(forced.until_ms)
        );
    }
    info!(
        "  loaded {} peers, {} of them active, at most {}",
        started.total_peers, started.active_peers, lease.max_peers
    );
    if started.resumed.expired > 0 {
        info!(
            "  removed {} peers whose leases had run out",
            started.resumed.expired
        );
    }
    info!("  credited an outage of {credited_secs} s");
    if let Some(outage) = started.resumed.credited {
        info!(
            "  the registry was last alive at {}",
            clock::rfc3339(outage.from_ms)
        );
    }
    if started.resumed.set_back_ms > 0 {
        warn!(
            "the wall clock was set back by {} s since the last run; leases keep what they have left",
            started.resumed.set_back_ms / 1000
        );
    }
}
