//! `peer-agent run`: keeps the node registered.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use log::{debug, info, warn};
use peer_registry::agent::{Agent, AgentBuilder, Event, PeerList, PeerSource};
use peer_registry::clock::rfc3339;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::announce::AnnounceSettings;
use crate::exec::Exec;
use crate::failure::Failure;
use crate::outlet::Outlet;
use crate::settings::{Faults, KeySettings, RegistrySettings, given, given_path};

/// Registers the node and keeps it registered, until Ctrl-C, SIGTERM or the end of its terminal.
///
/// The node keeps its place through restarts and outages of the registries, lost networks and
/// throttling. A fault of a registry never ends the command; only faults of the settings do.
///
/// Peers are looked for if --exec or --connected-file is given: 10 s after the start, while the
/// node has fewer than 3 connections, and again with pauses that grow to ten minutes. Without
/// --connected-file the node counts as having none.
#[derive(Args, Debug)]
pub(crate) struct RunSettings {
    #[command(flatten)]
    registries: RegistrySettings,

    #[command(flatten)]
    key: KeySettings,

    #[command(flatten)]
    announce: AnnounceSettings,

    /// Print each event on stdout as a line of JSON; the command ends when the pipe is closed
    #[arg(long)]
    json: bool,

    /// Command that is run for each list of peers, with the list as JSON on its stdin
    ///
    /// It is run by `sh -c`, and what it prints goes to stderr. It never runs twice at a time: if
    /// lists come meanwhile, it is run again with the newest. It is ended after a minute, and when
    /// peer-agent stops.
    #[arg(long, env = "PEER_AGENT_EXEC", value_name = "CMD")]
    exec: Option<String>,

    /// File in which the node keeps the number of its connections
    ///
    /// The node writes the number into it whenever it changes, best by renaming a new file. A file
    /// that is not there means no connection: the node may not have started yet.
    #[arg(long, env = "PEER_AGENT_CONNECTED_FILE", value_name = "FILE")]
    connected_file: Option<OsString>,

    /// How long after the start connections are counted
    #[arg(
        long,
        env = "PEER_AGENT_FALLBACK_AFTER_SECS",
        value_name = "SECS",
        default_value = "10"
    )]
    fallback_after_secs: String,

    /// How many connections are enough
    #[arg(
        long,
        env = "PEER_AGENT_ENOUGH_PEERS",
        value_name = "COUNT",
        default_value = "3"
    )]
    enough_peers: String,

    /// How many peers each registry is asked for
    #[arg(
        long,
        env = "PEER_AGENT_PEER_SAMPLE",
        value_name = "COUNT",
        default_value = "50"
    )]
    peer_sample: String,

    /// File that keeps the last good list of peers, for a start while every registry is down
    #[arg(long, env = "PEER_AGENT_LAST_KNOWN_GOOD", value_name = "FILE")]
    last_known_good: Option<OsString>,
}

pub(crate) async fn run(settings: &RunSettings) -> Result<(), Failure> {
    // Before anything is started, so that a signal that comes early is not missed.
    let mut signals = Signals::listen().map_err(Failure::usage)?;
    let agent = builder(settings)?.start().map_err(Failure::usage)?;
    let mut events = agent.events();
    let exec = given(&settings.exec).map(|command| Exec::start(command));
    let stdout = Outlet::start("stdout", io::stdout(), missed_line);
    let (mut stdout, mut nobody_reads) = stdout.map_err(Failure::usage)?;
    loop {
        tokio::select! {
            name = signals.next() => {
                info!("{name} received, stopping");
                break;
            }
            _ = &mut nobody_reads => break,
            Some(event) = events.next() => {
                if settings.json {
                    stdout.send(json_line(&event));
                } else {
                    tell(&event);
                }
                if let (Some(exec), Event::PeersFound { list }) = (&exec, &event) {
                    exec.hand_over(list);
                }
            }
        }
    }
    agent.stop().await;
    if let Some(exec) = exec {
        exec.stop().await;
    }
    stdout.backlog().wait();
    Ok(())
}

/// Reads the settings.
fn builder(settings: &RunSettings) -> Result<AgentBuilder, Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let announcement = settings.announce.read(&mut faults);
    let name = "PEER_AGENT_FALLBACK_AFTER_SECS";
    let after_secs = faults.number(name, &settings.fallback_after_secs, 0..=86_400);
    let enough = &settings.enough_peers;
    let enough_peers = faults.number("PEER_AGENT_ENOUGH_PEERS", enough, 1..=1_000_000);
    let sample = faults.number("PEER_AGENT_PEER_SAMPLE", &settings.peer_sample, 1..=1_000);
    let is_new = matches!(settings.key.find(), Ok(None));
    let identity = settings.key.require_or_make(faults)?;
    if is_new {
        info!("made the key file {}", settings.key.path().display());
    }
    info!("this node is {}", identity.peer_id());

    let mut builder = Agent::builder(announcement.of(&identity))
        .registries(registries.urls)
        .transport(registries.transport)
        .fallback_after(Duration::from_secs(after_secs))
        .enough_peers(enough_peers)
        .peer_sample(sample);
    if let Some(path) = given_path(&settings.last_known_good) {
        builder = builder.last_known_good(path);
    }
    if let Some(path) = given_path(&settings.connected_file).map(Path::to_owned) {
        builder = builder.connected_peers(move || connections(&path));
    } else if given(&settings.exec).is_some() {
        builder = builder.connected_peers(|| 0);
    }
    Ok(builder)
}

/// The number in the file where the node keeps it; none if there is no such number.
fn connections(path: &Path) -> usize {
    match read_count(path) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => {
            warn!("no number of connections in {}: {error}", path.display());
            0
        }
    }
}

fn read_count(path: &Path) -> io::Result<usize> {
    // What is no file, e.g. a pipe, might never come to an end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(io::Error::other)
}

/// An event for programs.
fn json_line(event: &Event) -> Vec<u8> {
    match serde_json::to_vec(event) {
        Ok(json) => [&json[..], b"\n"].concat(),
        Err(error) => {
            warn!("an event has no JSON form: {error}");
            Vec::new()
        }
    }
}

/// What stands in the place of events that were dropped.
fn missed_line(count: u64) -> Vec<u8> {
    json_line(&Event::Missed { count })
}

/// Says in the log what has happened.
fn tell(event: &Event) {
    match event {
        Event::Registered {
            registry,
            heartbeat_interval_ms,
            ..
        } => info!(
            "registered with {registry}, a heartbeat every {} s",
            heartbeat_interval_ms / 1_000
        ),
        Event::Reregistered { registry, .. } => info!("registered again with {registry}"),
        Event::Renewed { registry, .. } => debug!("renewed the lease with {registry}"),
        Event::Lost { registry } => warn!("{registry} has lost the node, registering again"),
        Event::Throttled {
            registry,
            retry_at_ms,
        } => warn!(
            "{registry} asks for patience, next try at {}",
            rfc3339(*retry_at_ms)
        ),
        Event::Refused {
            registry,
            code,
            message,
            retry_at_ms,
        } => warn!(
            "{registry} refuses the registration ({code}): {message}; next try at {}",
            rfc3339(*retry_at_ms)
        ),
        Event::Unreachable {
            registry, reason, ..
        } => warn!("{registry} is not reachable, trying again: {reason}"),
        Event::FallbackStarted { connected_peers } => {
            info!("the node has {connected_peers} connections, looking for peers");
        }
        Event::PeersFound { list } => tell_list(list),
        other => debug!("{other:?}"),
    }
}

fn tell_list(list: &PeerList) {
    let count = list.peers.len();
    match list.source {
        PeerSource::Registries => info!("found {count} peers"),
        PeerSource::LastKnownGood { age_ms, .. } => warn!(
            "no registry names a peer; {count} from {} s ago are known",
            age_ms / 1_000
        ),
    }
}

/// The signals that end the command.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one and tells its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
