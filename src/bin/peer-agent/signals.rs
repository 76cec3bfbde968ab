//! The signals that `peer-agent run` listens to.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
pub(crate) enum Request {
    /// To stop; with the name of the signal.
    Stop(&'static str),
    /// To read the settings again.
    Reload,
}

/// The signals that the command listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Whether the command was started in a terminal.
    has_terminal: bool,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            has_terminal: io::stdin().is_terminal(),
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            // The end of its terminal sends this signal, too. The terminal is none any more then.
            _ = self.hang_up.recv() => match self.has_terminal && !io::stdin().is_terminal() {
                true => Request::Stop("SIGHUP"),
                false => Request::Reload,
            },
        }
    }
}
