//! Why a command failed, and its exit code.

use std::io;
use std::process::ExitCode;

use anyhow::anyhow;
use log::warn;
use peer_registry::agent::ClientError;

/// A registry refused.
const REFUSED: u8 = 1;
/// The settings are wrong.
const USAGE: u8 = 2;
/// A registry could not be reached.
const UNREACHABLE: u8 = 3;

/// An exit code, and the messages to print on stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    messages: Vec<anyhow::Error>,
}

impl Failure {
    /// The settings or the system do not allow the command.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::faults(vec![error.into()])
    }

    /// All that is wrong with the settings.
    pub(crate) fn faults(messages: Vec<anyhow::Error>) -> Self {
        let code = USAGE;
        Self { code, messages }
    }

    /// Something is wrong, though the registries can be reached. It is already printed.
    pub(crate) fn refused() -> Self {
        Self {
            code: REFUSED,
            messages: Vec::new(),
        }
    }

    /// A registry could not be reached. That is already printed.
    pub(crate) fn unreachable() -> Self {
        Self {
            code: UNREACHABLE,
            messages: Vec::new(),
        }
    }

    /// Fails if there is an error. One refusal is enough for the exit code of a refusal.
    pub(crate) fn check(errors: Vec<ClientError>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        let is_refusal = |error: &ClientError| matches!(error, ClientError::Refused { .. });
        Err(Self {
            code: if errors.iter().any(is_refusal) {
                REFUSED
            } else {
                UNREACHABLE
            },
            messages: errors.into_iter().map(with_suggestion).collect(),
        })
    }

    /// Logs the messages and that `consequence` follows, in a command that goes on.
    pub(crate) fn log(&self, consequence: &str) {
        for message in &self.messages {
            warn!("{consequence}: {message:#}");
        }
    }

    /// Prints the messages on stderr.
    pub(crate) fn report(self) -> ExitCode {
        for message in &self.messages {
            print_error(message);
        }
        ExitCode::from(self.code)
    }
}

/// An error of printing to stdout. A closed pipe, as behind `head`, is not a failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            let messages = Vec::new();
            return Self { code: 0, messages };
        }
        Self::usage(anyhow::Error::from(error).context("cannot write to stdout"))
    }
}

/// Prints an error on stderr.
pub(crate) fn print_error(error: &anyhow::Error) {
    // `eprintln` would panic when the pipe is closed.
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("peer-agent: {error:#}\n"));
}

/// The error of a registry with its suggestion.
pub(crate) fn with_suggestion(error: ClientError) -> anyhow::Error {
    let suggestion = error.body().and_then(|body| body.suggestion.clone());
    let error = anyhow::Error::from(error);
    match suggestion {
        Some(suggestion) => anyhow!("{error:#} ({suggestion})"),
        None => error,
    }
}
