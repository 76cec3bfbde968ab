//! Why a command did not do what it was to do, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use anyhow::anyhow;
use peer_registry::agent::ClientError;

/// The registry was reached, and refused.
const REFUSED: u8 = 1;
/// The command was told something it cannot do.
const USAGE: u8 = 2;
/// No registry could be reached.
const UNREACHABLE: u8 = 3;

/// An exit code, and what there is to say on stderr about it.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    messages: Vec<anyhow::Error>,
}

impl Failure {
    /// The command was told something it cannot do.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::faults(vec![error.into()])
    }

    /// All that is wrong with what the command was told.
    pub(crate) fn faults(messages: Vec<anyhow::Error>) -> Self {
        let code = USAGE;
        Self { code, messages }
    }

    /// The registry was reached and is at odds with the node, which has been said already.
    pub(crate) fn refused() -> Self {
        Self {
            code: REFUSED,
            messages: Vec::new(),
        }
    }

    /// No registry could be reached, which has been said already.
    pub(crate) fn unreachable() -> Self {
        Self {
            code: UNREACHABLE,
            messages: Vec::new(),
        }
    }

    /// What registries answered, if any of it is a failure. One that refused can be reached.
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
            messages: errors.into_iter().map(in_full).collect(),
        })
    }

    /// Says on stderr what there is to say.
    pub(crate) fn report(self) -> ExitCode {
        for message in &self.messages {
            complain(message);
        }
        ExitCode::from(self.code)
    }
}

/// A failure to print. If nobody reads any more, as behind `head`, there is nothing left to do.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            let messages = Vec::new();
            return Self { code: 0, messages };
        }
        Self::usage(anyhow::Error::from(error).context("cannot write to stdout"))
    }
}

/// Says on stderr what went wrong.
pub(crate) fn complain(error: &anyhow::Error) {
    // Not `eprintln`, which panics when nobody reads.
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("peer-agent: {error:#}\n"));
}

/// An error of a registry, with what it suggests.
pub(crate) fn in_full(error: ClientError) -> anyhow::Error {
    let suggestion = error.body().and_then(|body| body.suggestion.clone());
    let error = anyhow::Error::from(error);
    match suggestion {
        Some(suggestion) => anyhow!("{error:#} ({suggestion})"),
        None => error,
    }
}
