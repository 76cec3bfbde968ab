//! The number of files that this process may open.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The process cannot open as many files as it needs.
#[derive(Debug, thiserror::Error)]
#[error("only {opened} of {needed} files can be opened (ulimit -n, LimitNOFILE)")]
pub struct TooFewFiles {
    needed: usize,
    opened: usize,
    source: io::Error,
}

/// Raises the limit on open files to the system's maximum, and checks that `needed` more files can be
/// opened now. Without this check the threads of the runtime would panic.
///
/// # Errors
/// Says how many could be opened.
pub fn raise_open_files(needed: usize) -> Result<(), TooFewFiles> {
    raise_limit();
    let mut opened = Vec::with_capacity(needed);
    while opened.len() < needed {
        // The root folder, since it exists everywhere and no locks depend on it.
        match File::open(Path::new("/")) {
            Ok(file) => opened.push(file),
            Err(source) if lacks_files(&source) => {
                let opened = opened.len();
                return Err(TooFewFiles {
                    needed,
                    opened,
                    source,
                });
            }
            // A sandbox may hide it; then nothing is known.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Whether the error means that too many files are open, in this process or on the machine.
fn lacks_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

/// Raises the limit to the system's maximum and returns it; `None` if there is no limit.
pub(crate) fn raise_limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    current.map(|allowed| usize::try_from(allowed).unwrap_or(usize::MAX))
}
