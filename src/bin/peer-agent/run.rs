//! `peer-agent run`: keeps the node registered.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use log::{info, warn};
use peer_registry::agent::{Agent, AgentBuilder, Connected, Event};
use peer_registry::protocol::{Limits, PeerId, RegisterRequest};

use crate::announce::AnnounceSettings;
use crate::event_lines::{json_line, log_event, missed_line};
use crate::exec::Exec;
use crate::failure::Failure;
use crate::line_writer::LineWriter;
use crate::node::{KeySettings, Node};
use crate::settings::{Faults, RegistrySettings, given, given_path};
use crate::signals::{Request, Signals};

/// Registers the node and keeps it registered, until Ctrl-C, SIGTERM or the end of its terminal.
///
/// At SIGHUP it reads its settings file again, announces what has changed, and tries again what was
/// unreachable. A node that another one has replaced announces itself again.
///
/// The node stays registered through restarts and outages of the registries, lost networks and
/// throttling. A fault of a registry never ends the command; only faults of the settings do.
///
/// With --exec or --connected-file the command looks for peers whenever the node has fewer than 3
/// connections, from 10 s after the start. The pauses grow to ten minutes, but stay under a minute
/// while the node has no connection. Without --connected-file it assumes that it has none.
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
    /// `sh -c` runs it, and its output goes to stderr. It never runs twice at the same time: if
    /// lists come meanwhile, it runs again with the newest. It is ended after a minute, and when
    /// peer-agent stops.
    #[arg(long, env = "PEER_AGENT_EXEC", value_name = "CMD")]
    exec: Option<String>,

    /// File in which the node keeps the number of its connections, or the ids of the peers
    ///
    /// One number, or one id a line: peers that are named are not handed out again. The node writes
    /// the file whenever it changes, best to a new file that it then renames. A missing file means no
    /// connection: the node may not have started yet.
    #[arg(long, env = "PEER_AGENT_CONNECTED_FILE", value_name = "FILE")]
    connected_file: Option<OsString>,

    /// How long after the start connections are first counted, in seconds
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

    /// How many peers to request from each registry
    #[arg(
        long,
        env = "PEER_AGENT_PEER_SAMPLE",
        value_name = "COUNT",
        default_value = "50"
    )]
    peer_sample: String,

    /// File that keeps the last good list of peers, for a start while every registry is down, and the
    /// keys of the registries
    #[arg(long, env = "PEER_AGENT_LAST_KNOWN_GOOD", value_name = "FILE")]
    last_known_good: Option<OsString>,
}

/// `read_again` reads the settings as they would be after a restart.
pub(crate) async fn run(
    settings: &RunSettings,
    read_again: &dyn Fn() -> anyhow::Result<RunSettings>,
) -> Result<(), Failure> {
    // Listens before anything is started, so that no early signal is missed.
    let mut signals = Signals::listen().map_err(Failure::usage)?;
    let (builder, mut announced) = builder(settings)?;
    let agent = builder.start().map_err(Failure::usage)?;
    let mut events = agent.events();
    let exec = given(&settings.exec).map(|command| Exec::start(command));
    let stdout = LineWriter::start("stdout", io::stdout(), missed_line);
    let (mut stdout, mut reader_closed) = stdout.map_err(Failure::usage)?;
    loop {
        tokio::select! {
            request = signals.next() => match request {
                Request::Stop(name) => {
                    info!("{name} received, stopping");
                    break;
                }
                Request::Reload => {
                    announced.reload(&agent, settings, read_again());
                    // Scripts of network managers send the signal, too.
                    agent.network_changed();
                }
            },
            _ = &mut reader_closed => break,
            Some(event) = events.next() => {
                if settings.json {
                    stdout.send(json_line(&event));
                } else {
                    log_event(&event);
                }
                if let (Some(exec), Event::PeersFound { list }) = (&exec, &event) {
                    exec.run_with(list);
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

/// What is announced, and for which node.
struct Announced {
    node: Node,
    registration: RegisterRequest,
}

impl Announced {
    /// Reads the settings again and announces what has changed. After a fault they stay as they are.
    fn reload(&mut self, agent: &Agent, first: &RunSettings, read: anyhow::Result<RunSettings>) {
        match read
            .map_err(Failure::usage)
            .and_then(|settings| self.change(first, &settings))
        {
            Ok(true) => {
                info!("SIGHUP received, announcing the new settings");
                agent.update_registration(self.registration.clone());
            }
            Ok(false) => info!("SIGHUP received, nothing new to announce"),
            Err(failure) => failure.log("SIGHUP received, but the settings stay as they are"),
        }
    }

    /// Changes to these settings; returns whether there is something new to announce.
    fn change(&mut self, first: &RunSettings, settings: &RunSettings) -> Result<bool, Failure> {
        let mut faults = Faults::default();
        let announcement = settings.announce.read(&mut faults);
        // A fault that would not let the command start again is better known now.
        settings.registries.read(&mut faults)?;
        settings.looking(&mut faults);
        faults.finish()?;
        let changed = settings.changed_since(first);
        if !changed.is_empty() {
            let names = changed.join(", ");
            warn!("changed settings that need a restart: {names}");
        }
        let registration = announcement.registration(&self.node)?;
        let is_new = registration != self.registration;
        self.registration = registration;
        Ok(is_new)
    }
}

/// When the command looks for peers, and for how many.
struct Looking {
    after: Duration,
    enough_peers: usize,
    sample: u32,
}

impl RunSettings {
    fn looking(&self, faults: &mut Faults) -> Looking {
        let name = "PEER_AGENT_FALLBACK_AFTER_SECS";
        let after_secs = faults.number(name, &self.fallback_after_secs, 0..=86_400);
        let enough = &self.enough_peers;
        Looking {
            after: Duration::from_secs(after_secs),
            enough_peers: faults.number("PEER_AGENT_ENOUGH_PEERS", enough, 1..=1_000_000),
            sample: faults.number("PEER_AGENT_PEER_SAMPLE", &self.peer_sample, 1..=1_000),
        }
    }

    /// The names of the settings that are not as at the start, `first`, and that apply only from a start on.
    fn changed_since(&self, first: &Self) -> Vec<&'static str> {
        let pairs = self.fixed().into_iter().zip(first.fixed());
        let changed = pairs.filter(|(now, before)| now != before);
        changed.map(|((name, _), _)| name).collect()
    }

    /// The settings that apply from the start to the end, with their names, always in the same order.
    fn fixed(&self) -> Vec<(&'static str, String)> {
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        let mut fixed = vec![
            ("PEER_AGENT_EXEC", text(&self.exec)),
            ("PEER_AGENT_CONNECTED_FILE", text(&self.connected_file)),
            (
                "PEER_AGENT_FALLBACK_AFTER_SECS",
                text(&self.fallback_after_secs),
            ),
            ("PEER_AGENT_ENOUGH_PEERS", text(&self.enough_peers)),
            ("PEER_AGENT_PEER_SAMPLE", text(&self.peer_sample)),
            ("PEER_AGENT_LAST_KNOWN_GOOD", text(&self.last_known_good)),
        ];
        fixed.extend(self.registries.named());
        fixed.extend(self.key.named());
        fixed
    }
}

/// Reads the settings into the builder of the agent.
fn builder(settings: &RunSettings) -> Result<(AgentBuilder, Announced), Failure> {
    let mut faults = Faults::default();
    let registries = settings.registries.read(&mut faults)?;
    let announcement = settings.announce.read(&mut faults);
    let looking = settings.looking(&mut faults);
    let is_new = matches!(settings.key.find(), Ok(None));
    let node = settings.key.require_or_make(faults)?;
    if is_new {
        info!("made the key file {}", settings.key.path().display());
    }
    info!("this node is {}", node.peer_id());

    let registration = announcement.registration(&node)?;
    let mut builder = Agent::builder(registration.clone())
        .registries(registries.urls)
        .transport(registries.transport)
        .fallback_after(looking.after)
        .enough_peers(looking.enough_peers)
        .peer_sample(looking.sample);
    if let Some(identity) = node.identity() {
        builder = builder.identity(identity);
    }
    if let Some(path) = given_path(&settings.last_known_good) {
        builder = builder.last_known_good(path);
    }
    if let Some(path) = given_path(&settings.connected_file).map(Path::to_owned) {
        builder = builder.connections(move || connections(&path));
    } else if given(&settings.exec).is_some() {
        builder = builder.connected_peers(|| 0);
    }
    Ok((builder, Announced { node, registration }))
}

/// Returns the connections in the node's file, or an empty list if it cannot be read.
fn connections(path: &Path) -> Connected {
    match read_connections(path) {
        Ok(connected) => connected,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Connected::Count(0),
        Err(error) => {
            warn!("no connections in {}: {error}", path.display());
            Connected::Count(0)
        }
    }
}

/// Reads a number, or ids of peers, one a line.
fn read_connections(path: &Path) -> io::Result<Connected> {
    // Anything but a file, e.g. a pipe, may never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let text = fs::read_to_string(path)?;
    if let Ok(count) = text.trim().parse() {
        return Ok(Connected::Count(count));
    }
    let limits = Limits::default();
    let ids = text.lines().map(str::trim).filter(|line| !line.is_empty());
    ids.map(|id| PeerId::parse_new(id, "a line", &limits).map_err(io::Error::other))
        .collect()
}
