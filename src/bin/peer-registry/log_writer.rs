//! Writes log lines on a thread of its own, so that no other thread waits when the log is not read.
//!
//! Lines wait in a queue that is bounded in bytes. A line that finds no room is dropped and counted,
//! and so is one that cannot be written (a closed pipe, a full disk). As soon as lines can be
//! written again, one line says how many were dropped.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use peer_registry::clock::{Clock, SystemClock, rfc3339};
use peer_registry::server::log_lines;

/// Maximum size of the queue, in bytes: some seconds of a debug log under load.
const MAX_QUEUE_BYTES: usize = 1 << 20;

/// Maximum size of a line, in bytes; a longer line is cut. The longest one that the registry writes
/// takes about 500.
const MAX_LINE_BYTES: usize = 8 << 10;

/// Memory that each line takes in addition to its bytes.
const LINE_OVERHEAD_BYTES: usize = 64;

/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait when a non-blocking terminal or pipe has no room.
const POLL: Duration = Duration::from_millis(20);

/// The queue; clones share it.
#[derive(Clone)]
pub(crate) struct LogWriter {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// A line has arrived.
    arrived: Condvar,
    /// The thread has written all lines that it took from the queue.
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines are dropped until half of the queue is free, so that a log that is always full does not
    /// alternate between a line and a count of dropped lines.
    is_full: bool,
    /// Lines that were dropped, and that no line in the queue reports yet.
    untold: u64,
    is_writing: bool,
    /// The last write failed.
    has_failed: bool,
}

struct Line {
    text: Vec<u8>,
    /// Lines that were dropped before this one.
    dropped: u64,
}

impl LogWriter {
    /// Starts the thread that writes to `out`. Whenever it has nothing to write, and at least once
    /// per second, it takes further lines from `notes`.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        notes: impl FnMut() -> Vec<String> + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log".to_owned());
        // Never joined: a write may block forever.
        thread.spawn(move || writer.write_to(out, notes))?;
        Ok(Self { queue })
    }

    /// Queues a line, or drops it. Never waits for the reader.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut state = self.queue.lock();
        let cost = line.len().min(MAX_LINE_BYTES) + LINE_OVERHEAD_BYTES;
        if state.is_full && state.bytes > MAX_QUEUE_BYTES / 2 {
            state.drop_lines(1);
            return;
        }
        state.is_full = state.bytes + cost > MAX_QUEUE_BYTES;
        if state.is_full {
            state.drop_lines(1);
        } else {
            state.queue(cut(line));
            self.queue.arrived.notify_one();
        }
    }

    /// Queues the last line of the process, even if the queue is full.
    pub(crate) fn push_last(&self, line: &[u8]) {
        self.queue.lock().queue(cut(line));
        self.queue.arrived.notify_one();
    }

    /// Waits until all lines are written, but not longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let state = self.queue.lock();
        let waited = self
            .queue
            .written
            .wait_timeout_while(state, limit, |state| {
                let tells = state.untold > 0 && !state.has_failed;
                !state.lines.is_empty() || state.is_writing || tells
            });
        drop(waited);
    }
}

/// The logger writes to it: each call is one line.
impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn queue(&mut self, text: Vec<u8>) {
        self.bytes += text.len() + LINE_OVERHEAD_BYTES;
        let dropped = mem::take(&mut self.untold);
        self.lines.push_back(Line { text, dropped });
    }

    fn drop_lines(&mut self, lines: u64) {
        self.untold += lines;
        log_lines::count_dropped(lines);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, out: impl Write, mut notes: impl FnMut() -> Vec<String>) {
        let mut out = Output {
            out,
            is_torn: false,
        };
        loop {
            let Line { text, dropped } = self.next(&mut notes);
            let told = if dropped > 0 {
                out.write_line(dropped_line(dropped).as_bytes())
            } else {
                Ok(())
            };
            let is_told = told.is_ok();
            let written = told.and_then(|()| out.write_line(&text));

            let mut state = self.lock();
            if !is_told {
                state.untold += dropped;
            }
            if written.is_err() && !text.is_empty() {
                state.drop_lines(1);
            }
            state.has_failed = written.is_err();
            state.is_writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for a line, or until dropped lines can be reported; then the text is empty.
    fn next(&self, notes: &mut impl FnMut() -> Vec<String>) -> Line {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.text.len() + LINE_OVERHEAD_BYTES;
                state.is_writing = true;
                return line;
            }
            if state.untold > 0 && !state.has_failed {
                state.is_writing = true;
                let dropped = mem::take(&mut state.untold);
                let text = Vec::new();
                return Line { text, dropped };
            }
            for note in notes() {
                state.queue(note.into_bytes());
            }
            if !state.lines.is_empty() {
                continue;
            }
            let (next, _) = self
                .arrived
                .wait_timeout(state, RETRY)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            state.has_failed = false;
        }
    }
}

struct Output<W> {
    out: W,
    /// Only a part of the last line was written.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if mem::take(&mut self.is_torn) {
            self.write(b"\n")?;
        }
        self.write(line)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.is_torn = true;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the terminal or pipe has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
                Err(error) => return Err(error),
            }
        }
        self.is_torn = false;
        Ok(())
    }
}

/// The line, cut to at most [`MAX_LINE_BYTES`]; it ends with a line break.
fn cut(line: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b" (cut)\n";
    if line.len() <= MAX_LINE_BYTES {
        return line.to_vec();
    }
    let mut end = MAX_LINE_BYTES - MARK.len();
    // Cut between characters only: the next byte must begin one.
    while end > 0 && line[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    [&line[..end], MARK].concat()
}

fn dropped_line(count: u64) -> String {
    warning(&format!(
        "dropped {count} log lines, since they could not be written in time"
    ))
}

/// A line about the log itself, as the logger would write it.
pub(crate) fn warning(text: &str) -> String {
    let now = rfc3339(SystemClock::start().now_ms());
    format!("[{now} WARN ] {text}\n")
}

#[cfg(test)]
mod tests;
