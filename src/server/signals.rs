//! The signals that the server listens for.

use std::io;
use std::time::Duration;

use log::warn;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The minimum time between two log lines about the file size limit.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// The signals that end a server: SIGTERM and SIGINT.
///
/// Listen before the server starts, so that an early signal is not missed. From then on SIGXFSZ does
/// not end the process: a write over the file size limit fails.
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

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
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
