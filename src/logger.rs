//! The logger of the process: what env_logger formats, a thread of its own writes.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use env_logger::{Target, WriteStyle};
use log::{Level, LevelFilter, Log, Metadata, Record, error};
use peer_registry::clock;
use peer_registry::server::log_lines::{LineLimit, WINDOW_MS};

use crate::log_writer::LogWriter;

/// How long the end of the process waits for what is still to be written.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Libraries whose lines are counted; there are fewer that say anything.
const MAX_SOURCES: usize = 64;

static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Sends all that is logged from now on to stderr, by way of a queue.
///
/// # Errors
/// `levels` is no filter, or the system has no thread or file descriptor left.
pub fn install(levels: &str) -> anyhow::Result<()> {
    let stderr = io::stderr();
    let is_colored = stderr.is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Not through `io::stderr`, whose lock the thread would hold while it is stuck.
    let out = stderr.as_fd().try_clone_to_owned();
    let out = File::from(out.context("cannot open stderr")?);
    let writer = LogWriter::start(out).context("cannot start the thread of the log")?;
    let formatter = env_logger::Builder::new()
        // It repeats what the start-up block says.
        .filter_module("actix_server", LevelFilter::Warn)
        .parse_filters(levels)
        .format_target(false)
        .target(Target::Pipe(Box::new(writer.clone())))
        .write_style(if is_colored {
            WriteStyle::Always
        } else {
            WriteStyle::Never
        })
        .build();
    log::set_max_level(formatter.filter());
    let logger = Logger {
        formatter,
        writer: writer.clone(),
        sources: Mutex::default(),
    };
    log::set_boxed_logger(Box::new(logger)).context("there is a logger already")?;
    let _ = WRITER.set(writer);
    // The hook of the standard library writes to stderr on the thread that panics.
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => error!("thread {panic}\n{backtrace}"),
            _ => error!("thread {panic}"),
        }
    }));
    Ok(())
}

/// Says why the process ends. Waits for nobody once the logger is installed.
pub fn say_last(text: &str) {
    match WRITER.get() {
        Some(writer) => writer.push_last(format!("{text}\n").as_bytes()),
        None => eprintln!("{text}"),
    }
}

struct Logger {
    formatter: env_logger::Logger,
    writer: LogWriter,
    /// What other crates say above debug is limited here, as this one does not see who caused it.
    sources: Mutex<Vec<Source>>,
}

struct Source {
    name: String,
    limit: LineLimit,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.formatter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.formatter.matches(record) && self.admits(record) {
            self.formatter.log(record);
        }
    }

    /// Waits a little for what is still to be written. For the end of the process.
    fn flush(&self) {
        self.writer.flush(FLUSH_LIMIT);
    }
}

impl Logger {
    fn admits(&self, record: &Record<'_>) -> bool {
        let name = record.target().split("::").next().unwrap_or_default();
        if name == "peer_registry" || record.level() > Level::Info {
            return true;
        }
        let now_ms = clock::machine_ms();
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match sources.iter().position(|source| source.name == name) {
            Some(at) => at,
            None if sources.len() == MAX_SOURCES => return false,
            None => {
                sources.push(Source {
                    name: name.to_owned(),
                    limit: LineLimit::default(),
                });
                sources.len() - 1
            }
        };
        let admission = sources[at].limit.admit(now_ms);
        drop(sources);
        if let Some(count) = admission.left_out {
            self.tell_left_out(name, count);
        }
        admission.is_admitted
    }

    fn tell_left_out(&self, name: &str, count: NonZeroU64) {
        let secs = WINDOW_MS / 1000;
        self.formatter.log(
            &Record::builder()
                .level(Level::Warn)
                .target("peer_registry")
                .args(format_args!(
                    "left out log lines source={name} count={count} within_secs={secs}"
                ))
                .build(),
        );
    }
}
