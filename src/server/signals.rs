//! The signals that the server listens for.

use std::io::{self, IsTerminal};
use std::time::Duration;

use log::{info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The minimum time between two log lines about the file size limit.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// The signals that the server listens for. SIGTERM, SIGINT and SIGQUIT end it, SIGHUP makes it read
/// its settings again, and SIGUSR1 and SIGUSR2 do nothing.
///
/// Listen before the server starts, so that an early signal is not missed. From then on SIGXFSZ does
/// not end the process: a write over the file size limit fails.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user: [Signal; 2],
    /// Whether the log went to a terminal at the start.
    had_terminal: bool,
    reload: Option<Box<dyn FnMut()>>,
    /// Whether a SIGHUP came before [`Signals::on_hangup`].
    is_reload_due: bool,
}

impl Signals {
    /// Begins to listen, on the current runtime.
    pub fn listen() -> io::Result<Self> {
        // First, since a service manager may send it at any time.
        let hangup = signal(SignalKind::hangup())?;
        let over_limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        tokio::spawn(note_file_size_limit(signal(over_limit)?));
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup,
            user: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
            had_terminal: io::stderr().is_terminal(),
            reload: None,
            is_reload_due: false,
        })
    }

    /// Calls `reload` for each SIGHUP, and at once if one has come already. It must not block.
    pub fn on_hangup(&mut self, mut reload: impl FnMut() + 'static) {
        if std::mem::take(&mut self.is_reload_due) {
            reload();
        }
        self.reload = Some(Box::new(reload));
    }

    /// Waits for the next signal that ends the server, and returns its name. Handles the others.
    pub async fn next(&mut self) -> &'static str {
        loop {
            let [user_1, user_2] = &mut self.user;
            let ignored = tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.quit.recv() => return "SIGQUIT",
                _ = self.hangup.recv() => None,
                _ = user_1.recv() => Some("SIGUSR1"),
                _ = user_2.recv() => Some("SIGUSR2"),
            };
            match (ignored, &mut self.reload) {
                (Some(name), _) => info!("{name} received, which does nothing"),
                // The kernel sends SIGHUP, too, when the terminal of a process is closed.
                (None, _) if self.had_terminal && !io::stderr().is_terminal() => return "SIGHUP",
                (None, Some(reload)) => reload(),
                (None, None) => self.is_reload_due = true,
            }
        }
    }
}

/// Logs that a write exceeded the file size limit of the process. Without a listener this signal
/// would end the process; with one the write fails, as it does on a full disk.
async fn note_file_size_limit(mut over_limit: Signal) {
    while over_limit.recv().await.is_some() {
        warn!("a write was refused: disk full or file size limit (LimitFSIZE, ulimit -f)");
        tokio::time::sleep(NOTE_INTERVAL).await;
    }
}
