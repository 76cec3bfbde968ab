//! Writes lines from a thread of its own, so that a reader who stops reading holds up nobody.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::warn;
use tokio::sync::oneshot;

/// How many lines wait for a slow reader before further ones are dropped.
const CAPACITY: usize = 256;
/// How long the end of the process waits for lines that nobody reads.
const GRACE: Duration = Duration::from_millis(500);

/// Takes lines and never blocks.
pub(crate) struct Outlet {
    lines: SyncSender<Vec<u8>>,
    backlog: Backlog,
    missed: u64,
    /// What is written in the place of lines that were dropped.
    tell_missed: fn(u64) -> Vec<u8>,
}

/// Is done when the other end of the pipe has been closed.
pub(crate) type Closed = oneshot::Receiver<()>;

impl Outlet {
    /// Starts the thread that writes to `target`, which errors call `name`.
    pub(crate) fn start(
        name: &'static str,
        target: impl Write + Send + 'static,
        tell_missed: fn(u64) -> Vec<u8>,
    ) -> io::Result<(Self, Closed)> {
        let (lines, waiting) = sync_channel(CAPACITY);
        let (open, closed) = oneshot::channel();
        let backlog = Backlog::default();
        let shared = backlog.clone();
        thread::Builder::new()
            .name(format!("write {name}"))
            .spawn(move || {
                write(name, target, &waiting, &shared);
                drop((waiting, open));
                shared.clear();
            })?;
        let outlet = Self {
            lines,
            backlog,
            missed: 0,
            tell_missed,
        };
        Ok((outlet, closed))
    }

    /// Has `line` written, or counts it among the missed if too many wait already.
    pub(crate) fn send(&mut self, line: Vec<u8>) {
        if self.missed > 0 && self.offer((self.tell_missed)(self.missed)) {
            self.missed = 0;
        }
        if self.missed > 0 || !self.offer(line) {
            self.missed += 1;
        }
    }

    /// What is not written yet.
    pub(crate) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// False if there is no room.
    fn offer(&self, line: Vec<u8>) -> bool {
        self.backlog.add();
        match self.lines.try_send(line) {
            Ok(()) => return true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.backlog.remove(),
        }
        false
    }
}

/// Each write is a line, as the logger does it.
impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes until nobody sends or nobody reads. Another fault, e.g. a full disk, is told once.
fn write(name: &str, mut target: impl Write, waiting: &Receiver<Vec<u8>>, backlog: &Backlog) {
    let mut is_told = false;
    for line in waiting {
        match target.write_all(&line).and_then(|()| target.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) if !is_told => {
                is_told = true;
                warn!("cannot write to {name}, going on without: {error}");
            }
            Err(_) => {}
        }
        backlog.remove();
    }
}

/// How many lines are not written yet.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    shared: Arc<(Mutex<usize>, Condvar)>,
}

impl Backlog {
    /// Waits until all is written, but not for one who does not read.
    pub(crate) fn wait(&self) {
        let (count, changed) = &*self.shared;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        // What is left by then is lost, which is all that can be done about it.
        let _ = changed.wait_timeout_while(count, GRACE, |count| *count > 0);
    }

    fn add(&self) {
        self.change(|count| count + 1);
    }

    fn remove(&self) {
        self.change(|count| count.saturating_sub(1));
    }

    fn clear(&self) {
        self.change(|_| 0);
    }

    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let (count, changed) = &*self.shared;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = change(*count);
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    fn tell_missed(count: u64) -> Vec<u8> {
        format!("missed {count}\n").into_bytes()
    }

    #[test]
    fn a_reader_who_stops_holds_up_nobody_and_is_told_how_much_is_missed() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut outlet, _closed) = Outlet::start("a pipe", writer, tell_missed).unwrap();
        let long = vec![b'x'; 1024 * 1024];
        outlet.send([&long[..], b"\n"].concat());
        for at in 0..1_000 {
            outlet.send(format!("{at}\n").into_bytes());
        }
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap().len(), long.len());
        assert_eq!(lines.next().unwrap(), "0");
        outlet.backlog().wait();
        outlet.send(b"last\n".to_vec());
        drop(outlet);
        let mut rest: Vec<_> = lines.collect();
        assert_eq!(rest.pop().as_deref(), Some("last"));
        // More than once, if the thread took up the long line late.
        let missed = rest.iter().filter_map(|line| line.strip_prefix("missed "));
        let missed: Vec<usize> = missed.map(|count| count.parse().unwrap()).collect();
        assert!(!missed.is_empty());
        let written = 1 + rest.len() - missed.len();
        assert_eq!(written + missed.iter().sum::<usize>(), 1_000);
    }

    #[test]
    fn a_pipe_that_is_closed_is_told() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut outlet, closed) = Outlet::start("a pipe", writer, tell_missed).unwrap();
        drop(reader);
        outlet.send(b"unread\n".to_vec());
        assert!(closed.blocking_recv().is_err());
    }
}
