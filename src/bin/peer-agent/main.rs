//! The node's command line: keeps a node registered, and sends single requests to registries.
#![forbid(unsafe_code)]

mod announce;
mod doctor;
#[path = "../shared/env_file.rs"]
mod env_file;
mod event_lines;
mod exec;
mod failure;
mod id;
mod line_writer;
#[path = "../shared/log_levels.rs"]
mod log_levels;
mod node;
mod output;
mod peers;
mod register;
mod reload;
mod run;
mod settings;
mod signals;
mod turn;
mod unregister;

use std::collections::HashSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use env_logger::{Target, WriteStyle};
use log::{LevelFilter, warn};
use tokio::runtime;

use env_file::EnvFile;
use failure::Failure;
use line_writer::{Backlog, LineWriter};
use reload::Sources;
use run::RunSettings;
use settings::given_path;

/// The settings file that is read if it exists.
const DEFAULT_CONFIG: &str = "peer-agent.env";
/// How long the end of the process waits for a name lookup or for a file to be written.
const GRACE: Duration = Duration::from_secs(1);

/// Keeps a node registered with peer-registry servers, and shows what they know.
///
/// Settings come from flags, then the environment, then a file of KEY=VALUE lines
/// (peer-agent.env, or --config FILE), then defaults. Logs go to stderr; RUST_LOG sets how much
/// (info).
#[derive(Debug, Parser)]
#[command(name = "peer-agent", version, after_help = EXIT_CODES, after_long_help = EXAMPLES)]
struct Cli {
    /// File of settings, KEY=VALUE lines named as the environment variables [default:
    /// peer-agent.env, if it exists]
    #[arg(long, env = "PEER_AGENT_CONFIG", value_name = "FILE", global = true)]
    config: Option<OsString>,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the registry refused, 2 usage, 3 not reachable.";

const EXAMPLES: &str = "\
Examples:
  Keep a node that listens on port 4001 registered:
    peer-agent run --registry https://registry.example.org --port 4001

  Hand peers to a node that has fewer than three connections:
    peer-agent run --registry https://registry.example.org --port 4001 \\
        --connected-file /run/node/connections --exec '/usr/local/bin/node-connect'

  List the peers that are alive, and find out why your own node is not listed:
    peer-agent peers --registry https://registry.example.org --network-id mainnet
    peer-agent doctor --registry https://registry.example.org

  The same settings from a file, peer-agent.env:
    PEER_REGISTRY_URL=https://one.example.org,https://two.example.org
    PEER_AGENT_PORT=4001

Exit codes: 0 done, 1 the registry refused, 2 usage, 3 not reachable.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Register the node and keep it registered, until Ctrl-C or SIGTERM
    Run(run::RunSettings),
    /// List the peers that are alive
    Peers(peers::PeersSettings),
    /// Register the node once
    Register(register::RegisterSettings),
    /// Renew the node's lease once
    Heartbeat(register::HeartbeatSettings),
    /// Remove the node from its registries at once
    Unregister(unregister::UnregisterSettings),
    /// List TURN servers, or register the node as one
    #[command(subcommand)]
    Turn(turn::TurnCommand),
    /// Show the node's identity, made at first use
    Id(id::IdSettings),
    /// Find out what is wrong between this node and its registries
    Doctor(doctor::DoctorSettings),
}

fn main() -> ExitCode {
    let result = prepare().and_then(|(command, sources, log)| {
        let result = execute(&command, &sources);
        log.wait();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Reads the settings and sets up the logger. The backlog is what the logger has not written yet.
fn prepare() -> Result<(Command, Sources, Backlog), Failure> {
    // Wrong flags end the process here, with a message of clap.
    let config = Cli::parse().config;
    let path = given_path(&config);
    let sources = Sources::before_reading(path.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned());
    read_file(path).map_err(Failure::usage)?;
    refuse_quotes().map_err(Failure::usage)?;
    let log = set_up_logger().map_err(Failure::usage)?;
    warn_of_unknown_names();
    // The environment now has the settings of the file, so the flags are read again.
    Ok((Cli::parse().command, sources, log))
}

/// Adds the settings of the file to the environment, unless they are set there already.
fn read_file(config: Option<&Path>) -> anyhow::Result<()> {
    let path = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    let file = match checked_file(path)? {
        Some(file) => file,
        None if config.is_none() => return Ok(()),
        None => return Err(fault_of(path, &anyhow!("it does not exist"))),
    };
    let mut quoted = String::new();
    for (name, value) in file.iter() {
        // The standard library's function is unsafe, and dotenvy's reads text.
        let value = value
            .replace('\\', r"\\")
            .replace('"', r#"\""#)
            .replace('$', r"\$");
        quoted.push_str(&format!("{name}=\"{value}\"\n"));
    }
    dotenvy::from_read(quoted.as_bytes()).map_err(|_| fault_of(path, &anyhow!("it cannot be used")))
}

/// Reads a settings file. Returns `None` if there is none, and an error if it cannot be read or has
/// unknown settings.
fn checked_file(path: &Path) -> anyhow::Result<Option<EnvFile>> {
    let file = EnvFile::read(path).map_err(|error| fault_of(path, &error))?;
    let unknown = file.as_ref().map(unknown_names).unwrap_or_default();
    if !unknown.is_empty() {
        bail!(
            "the settings file {} has unknown settings: {}",
            path.display(),
            unknown.join(", ")
        );
    }
    Ok(file)
}

fn fault_of(path: &Path, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("the settings file {}: {error}", path.display())
}

/// Refuses values in quotes, which were meant for a shell: a container's environment keeps them.
fn refuse_quotes() -> anyhow::Result<()> {
    for (name, value) in env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        let has_both =
            |quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        let is_setting = name.starts_with("PEER_AGENT_") || name == "PEER_REGISTRY_URL";
        if is_setting && (has_both('"') || has_both('\'')) {
            bail!("{name} has quotes around its value, which belong to it there; leave them out");
        }
    }
    Ok(())
}

/// The names in the file that begin like a setting of this command, but are unknown.
fn unknown_names(file: &EnvFile) -> Vec<String> {
    let known = known_names();
    let names = file.iter().map(|(name, _)| name);
    names
        .filter(|name| name.starts_with("PEER_AGENT_") && !known.contains(OsStr::new(name)))
        .map(str::to_owned)
        .collect()
}

/// Warns about names in the environment that begin like a setting of this command, but are unknown.
fn warn_of_unknown_names() {
    let known = known_names();
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        // Kubernetes sets some for a service that is called peer-agent.
        let is_of_kubernetes = ["_SERVICE_", "_TCP", "_UDP"]
            .iter()
            .any(|part| text.contains(part));
        if text.starts_with("PEER_AGENT_") && !known.contains(&name) && !is_of_kubernetes {
            warn!(
                "the environment has {}, which is not a setting and is ignored",
                text.escape_debug()
            );
        }
    }
}

/// The names of all settings of this command.
fn known_names() -> HashSet<OsString> {
    let mut known = HashSet::new();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        let names = command.get_arguments().filter_map(Arg::get_env);
        known.extend(names.map(OsStr::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    known
}

/// Logs to stderr from a thread, so that a slow reader of the log never blocks the node.
fn set_up_logger() -> anyhow::Result<Backlog> {
    let levels = log_levels::from_environment(None)?;
    let (stderr, _) = LineWriter::start("stderr", io::stderr(), |count| {
        format!("dropped {count} log lines, since they could not be written in time\n").into_bytes()
    })
    .context("cannot start")?;
    let backlog = stderr.backlog();
    let has_colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    env_logger::Builder::new()
        // Each retry would log the same error twice: here, and as an event of the agent.
        .filter_module("rustls", LevelFilter::Off)
        .filter_module("rustls_platform_verifier", LevelFilter::Off)
        .parse_filters(&levels.filter)
        .format_target(false)
        .write_style(if has_colours {
            WriteStyle::Always
        } else {
            WriteStyle::Never
        })
        .target(Target::Pipe(Box::new(stderr)))
        .init();
    if let Some(notice) = levels.notice {
        log::warn!("{notice}");
    }
    Ok(backlog)
}

/// The settings of `run` as they would be after a restart.
fn read_again(sources: &Sources) -> anyhow::Result<RunSettings> {
    if let Some(file) = sources.file() {
        checked_file(file)?.ok_or_else(|| fault_of(file, &anyhow!("it does not exist")))?;
    }
    let matches = sources.read_again(Cli::command())?;
    match Cli::from_arg_matches(&matches)?.command {
        Command::Run(settings) => Ok(settings),
        _ => bail!("only run reads its settings again"),
    }
}

/// Executes a subcommand on a tokio runtime of one thread.
fn execute(command: &Command, sources: &Sources) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
        .map_err(Failure::usage)?;
    let result = runtime.block_on(async {
        match command {
            Command::Run(settings) => run::run(settings, &|| read_again(sources)).await,
            Command::Peers(settings) => peers::list(settings).await,
            Command::Register(settings) => register::register(settings).await,
            Command::Heartbeat(settings) => register::heartbeat(settings).await,
            Command::Unregister(settings) => unregister::unregister(settings).await,
            Command::Turn(command) => turn::turn(command).await,
            Command::Id(settings) => id::show(settings),
            Command::Doctor(settings) => doctor::examine(settings).await,
        }
    });
    runtime.shutdown_timeout(GRACE);
    result
}
