//! The logger of the process: env_logger formats the lines, a thread of its own writes them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::env;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::mem;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use env_filter::Filter;
use env_logger::{Target, WriteStyle};
use log::{Level, LevelFilter, Log, Metadata, Record, error};
use peer_registry::clock;
use peer_registry::server::log_lines::{LineLimit, WINDOW_MS};

use crate::log_levels;
use crate::log_writer::{self, LogWriter};

/// Maximum time that the end of the process waits for lines that are not written yet.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Maximum number of crates whose lines are counted. Fewer crates log anything at all.
const MAX_SOURCES: usize = 64;

static WRITER: OnceLock<LogWriter> = OnceLock::new();
static LEVELS: RwLock<Option<Filter>> = RwLock::new(None);

/// Sends all lines that are logged from now on to stderr, through a queue. Until
/// [`set_levels`], the level is the default.
///
/// # Errors
/// The system has no thread or file descriptor left.
pub(crate) fn install() -> anyhow::Result<()> {
    let stderr = io::stderr();
    let is_colored = stderr.is_terminal() && env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Not through `io::stderr`, whose lock the thread would hold while it is stuck.
    let out = stderr.as_fd().try_clone_to_owned();
    let out = File::from(out.context("cannot open stderr")?);
    let sources = Arc::new(Sources::default());
    let notes = {
        let sources = Arc::clone(&sources);
        move || sources.take_left_out(clock::machine_ms())
    };
    let writer = LogWriter::start(out, notes).context("cannot start the thread of the log")?;
    let formatter = env_logger::Builder::new()
        // `LEVELS` decides, which can change.
        .filter_level(LevelFilter::Trace)
        .format_target(false)
        .target(Target::Pipe(Box::new(writer.clone())))
        .write_style(if is_colored {
            WriteStyle::Always
        } else {
            WriteStyle::Never
        })
        .build();
    set_levels(log_levels::DEFAULT);
    let logger = Logger {
        formatter,
        writer: writer.clone(),
        sources,
    };
    log::set_boxed_logger(Box::new(logger)).context("there is a logger already")?;
    let _ = WRITER.set(writer);
    // The hook of the standard library writes to stderr on the thread that panics.
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("without a name");
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => error!("thread {name} {panic}\n{backtrace}"),
            _ => error!("thread {name} {panic}"),
        }
    }));
    Ok(())
}

/// Logs the lines of these levels from now on.
pub(crate) fn set_levels(levels: &str) {
    let filter = env_filter::Builder::new()
        // Its lines at info repeat what the start-up block says.
        .filter_module("actix_server", LevelFilter::Warn)
        .parse(levels)
        .build();
    log::set_max_level(filter.filter());
    *LEVELS.write().unwrap_or_else(PoisonError::into_inner) = Some(filter);
}

fn is_enabled(check: impl FnOnce(&Filter) -> bool) -> bool {
    let levels = LEVELS.read().unwrap_or_else(PoisonError::into_inner);
    levels.as_ref().is_some_and(check)
}

/// Reports why the process ends. Never blocks once the logger is installed.
pub(crate) fn say_last(text: &str) {
    match WRITER.get() {
        Some(writer) => writer.push_last(format!("{text}\n").as_bytes()),
        None => eprintln!("{text}"),
    }
}

struct Logger {
    formatter: env_logger::Logger,
    writer: LogWriter,
    sources: Arc<Sources>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_enabled(|levels| levels.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if is_enabled(|levels| levels.matches(record))
            && self.sources.admit(record, clock::machine_ms())
        {
            self.formatter.log(record);
        }
    }

    /// Waits for lines that are not written yet, but at most [`FLUSH_LIMIT`]. For the end of the
    /// process.
    fn flush(&self) {
        self.writer.flush(FLUSH_LIMIT);
    }
}

/// Limits the lines of other crates above debug, since a client may be able to cause any of them.
/// This crate limits its own lines, by kind.
#[derive(Default)]
struct Sources(Mutex<Vec<Source>>);

struct Source {
    name: String,
    limit: LineLimit,
    /// Lines left out in windows that are over, and not reported yet.
    left_out: u64,
}

impl Sources {
    fn admit(&self, record: &Record<'_>, now_ms: i64) -> bool {
        let name = record.target().split("::").next().unwrap_or_default();
        if name == "peer_registry" || record.level() > Level::Info {
            return true;
        }
        let mut sources = self.lock();
        if !sources.iter().any(|source| source.name == name) && sources.len() < MAX_SOURCES {
            sources.push(Source {
                name: name.to_owned(),
                limit: LineLimit::default(),
                left_out: 0,
            });
        }
        let source = sources.iter_mut().find(|source| source.name == name);
        source.is_some_and(|source| {
            let admission = source.limit.admit(now_ms);
            source.left_out += admission.left_out.map_or(0, NonZeroU64::get);
            admission.is_admitted
        })
    }

    /// One line for each source of which lines were left out in a window that is over.
    fn take_left_out(&self, now_ms: i64) -> Vec<String> {
        let mut lines = Vec::new();
        for source in self.lock().iter_mut() {
            let ended = source.limit.end_window(now_ms);
            let count = mem::take(&mut source.left_out) + ended.map_or(0, NonZeroU64::get);
            if count > 0 {
                let (name, secs) = (&source.name, WINDOW_MS / 1000);
                lines.push(log_writer::warning(&format!(
                    "left out log lines source={name} count={count} within_secs={secs}"
                )));
            }
        }
        lines
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(sources: &Sources, target: &str, level: Level, now_ms: i64) -> usize {
        let record = Record::builder().target(target).level(level).build();
        let lines = (0..100).filter(|_| sources.admit(&record, now_ms));
        lines.count()
    }

    #[test]
    fn what_a_library_says_is_limited_and_counted() {
        let sources = Sources::default();
        assert_eq!(admitted(&sources, "actix_http::h1", Level::Error, 0), 20);
        assert_eq!(admitted(&sources, "actix_http::ws", Level::Info, 1), 0);
        assert_eq!(admitted(&sources, "rustls::conn", Level::Warn, 1), 20);
        assert!(sources.take_left_out(9_999).is_empty());
        let lines = sources.take_left_out(10_001);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("source=actix_http count=180"),
            "{lines:?}"
        );
        assert!(lines[1].contains("source=rustls count=80"), "{lines:?}");
        assert!(sources.take_left_out(30_000).is_empty(), "it is told once");
    }

    #[test]
    fn what_was_asked_for_is_not_limited() {
        let sources = Sources::default();
        assert_eq!(admitted(&sources, "actix_http", Level::Debug, 0), 100);
        assert_eq!(admitted(&sources, "peer_registry::a", Level::Info, 0), 100);
    }

    #[test]
    fn there_are_no_more_sources_than_room_for_them() {
        let sources = Sources::default();
        for index in 0..1_000 {
            admitted(&sources, &format!("crate_{index}"), Level::Info, 0);
        }
        assert_eq!(sources.lock().len(), MAX_SOURCES);
    }
}
