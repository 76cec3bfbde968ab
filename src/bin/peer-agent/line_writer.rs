//! Writes lines from its own thread, so that a reader that stops reading blocks nothing else.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::warn;
use tokio::sync::oneshot;

/// How many lines wait for a slow reader; further lines are dropped.
const CAPACITY: usize = 256;
/// How long the end of the process waits for lines that are not read.
const GRACE: Duration = Duration::from_millis(500);

/// Accepts lines and never blocks.
pub(crate) struct LineWriter {
    lines: SyncSender<Vec<u8>>,
    backlog: Backlog,
    dropped: u64,
    /// Makes the line that replaces dropped lines, from their number.
    dropped_line: fn(u64) -> Vec<u8>,
}

/// Resolves when the other end of the pipe is closed.
pub(crate) type Closed = oneshot::Receiver<()>;

impl LineWriter {
    /// Starts the thread that writes to `target`. Log lines about errors name it `name`.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub(crate) fn start(
        name: &'static str,
        target: impl Write + Send + 'static,
        dropped_line: fn(u64) -> Vec<u8>,
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
        let line_writer = Self {
            lines,
            backlog,
            dropped: 0,
            dropped_line,
        };
        Ok((line_writer, closed))
    }

    /// Queues `line` to be written, or drops and counts it if the queue is full.
    pub(crate) fn send(&mut self, line: Vec<u8>) {
        if self.dropped > 0 && self.try_send((self.dropped_line)(self.dropped)) {
            self.dropped = 0;
        }
        if self.dropped > 0 || !self.try_send(line) {
            self.dropped += 1;
        }
    }

    /// The lines that are not written yet.
    pub(crate) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// Returns whether there was room in the queue.
    fn try_send(&self, line: Vec<u8>) -> bool {
        self.backlog.add();
        match self.lines.try_send(line) {
            Ok(()) => return true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.backlog.remove(),
        }
        false
    }
}

/// The logger passes one line to each call of `write`.
impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes until the sender is dropped or the reader has closed the pipe. Another error, e.g. a full
/// disk, is logged once.
fn write(name: &str, mut target: impl Write, waiting: &Receiver<Vec<u8>>, backlog: &Backlog) {
    let mut is_logged = false;
    for line in waiting {
        match target.write_all(&line).and_then(|()| target.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) if !is_logged => {
                is_logged = true;
                warn!("cannot write to {name}, going on without: {error}");
            }
            Err(_) => {}
        }
        backlog.remove();
    }
}

/// The number of lines that are not written yet.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    shared: Arc<(Mutex<usize>, Condvar)>,
}

impl Backlog {
    /// Waits until all lines are written, but at most half a second.
    pub(crate) fn wait(&self) {
        let (count, changed) = &*self.shared;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        // Lines that are left after that are lost.
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

    fn dropped_line(count: u64) -> Vec<u8> {
        format!("dropped {count}\n").into_bytes()
    }

    #[test]
    fn a_reader_that_stops_blocks_nothing_and_learns_how_many_lines_are_dropped() {
        let (reader, pipe) = io::pipe().unwrap();
        let (mut writer, _closed) = LineWriter::start("a pipe", pipe, dropped_line).unwrap();
        let long = vec![b'x'; 1024 * 1024];
        writer.send([&long[..], b"\n"].concat());
        for index in 0..1_000 {
            writer.send(format!("{index}\n").into_bytes());
        }
        let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap().len(), long.len());
        assert_eq!(lines.next().unwrap(), "0");
        writer.backlog().wait();
        writer.send(b"last\n".to_vec());
        drop(writer);
        let mut rest: Vec<_> = lines.collect();
        assert_eq!(rest.pop().as_deref(), Some("last"));
        // There are several such lines if the thread wrote the long line late.
        let dropped = rest.iter().filter_map(|line| line.strip_prefix("dropped "));
        let dropped: Vec<usize> = dropped.map(|count| count.parse().unwrap()).collect();
        assert!(!dropped.is_empty());
        let written = 1 + rest.len() - dropped.len();
        assert_eq!(written + dropped.iter().sum::<usize>(), 1_000);
    }

    #[test]
    fn a_closed_pipe_is_noticed() {
        let (reader, pipe) = io::pipe().unwrap();
        let (mut writer, closed) = LineWriter::start("a pipe", pipe, dropped_line).unwrap();
        drop(reader);
        writer.send(b"unread\n".to_vec());
        assert!(closed.blocking_recv().is_err());
    }
}
