//! Writes log lines on a thread of its own, so that a reader who does not read stops nothing.
//!
//! Lines wait in a queue that is bounded in bytes. What finds no room is dropped and counted, and
//! so is what cannot be written (a closed pipe, a full disk). As soon as lines can be written
//! again, one line says how many were dropped.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use peer_registry::clock::{Clock, SystemClock, rfc3339};
use peer_registry::server::log_lines;

/// Bytes of lines that wait: some seconds of a debug log under load.
const MAX_QUEUE_BYTES: usize = 1 << 20;

/// Bytes of a line; what is longer is cut. The longest that the registry writes takes about 500.
const MAX_LINE_BYTES: usize = 8 << 10;

/// What each line costs beside its bytes.
const LINE_OVERHEAD_BYTES: usize = 64;

/// How long to wait before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long to wait when a terminal or pipe that does not block has no room.
const POLL: Duration = Duration::from_millis(20);

/// The queue; clones share it.
#[derive(Clone)]
pub struct LogWriter {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// A line has come.
    arrived: Condvar,
    /// The thread has written all that it took.
    written: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines are dropped until half of the room is free, so that a log which is always full does
    /// not alternate between a line and the count of lines.
    is_full: bool,
    /// Lines that were dropped and that no line in the queue tells of.
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
    /// Starts the thread that writes to `out`. Whenever it has nothing to write, and every second at
    /// least, it takes further lines from `notes`.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(
        out: impl Write + Send + 'static,
        notes: impl FnMut() -> Vec<String> + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log".to_owned());
        // Never joined: it may be stuck in a write for ever.
        thread.spawn(move || writer.write_to(out, notes))?;
        Ok(Self { queue })
    }

    /// Queues a line, or drops it. Never waits for the reader.
    pub fn push(&self, line: &[u8]) {
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

    /// Queues the last words of the process, for which there is always room.
    pub fn push_last(&self, line: &[u8]) {
        self.queue.lock().queue(cut(line));
        self.queue.arrived.notify_one();
    }

    /// Waits until all is written, but not longer than `limit`.
    pub fn flush(&self, limit: Duration) {
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

/// What the logger writes to: each call is one line.
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

    /// Waits for a line, or for the time to say that lines were dropped: then the line is empty.
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
    /// The last line was written in part.
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
                // Another process with the same terminal or pipe has made it so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
                Err(error) => return Err(error),
            }
        }
        self.is_torn = false;
        Ok(())
    }
}

/// A line of at most [`MAX_LINE_BYTES`], with its end.
fn cut(line: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b" (cut)\n";
    if line.len() <= MAX_LINE_BYTES {
        return line.to_vec();
    }
    let mut end = MAX_LINE_BYTES - MARK.len();
    // Not within a character: the next byte must begin one.
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
pub fn warning(text: &str) -> String {
    let now = rfc3339(SystemClock::start().now_ms());
    format!("[{now} WARN ] {text}\n")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    /// How long anything may take before a test gives up.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// An output whose every write takes the next word of the test, and waits for it.
    struct Scripted {
        words: Receiver<io::Result<()>>,
        written: Sender<String>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.words.recv().unwrap_or(Ok(()))?;
            let _ = self
                .written
                .send(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Rig {
        writer: LogWriter,
        words: Sender<io::Result<()>>,
        written: Receiver<String>,
    }

    fn rig() -> Rig {
        let (words, listener) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let out = Scripted {
            words: listener,
            written: sender,
        };
        Rig {
            writer: LogWriter::start(out, Vec::new).unwrap(),
            words,
            written,
        }
    }

    impl Rig {
        fn next(&self) -> String {
            self.written.recv_timeout(PATIENCE).unwrap()
        }

        /// From now on everything can be written.
        fn read_on(self) -> (LogWriter, Receiver<String>) {
            drop(self.words);
            (self.writer, self.written)
        }
    }

    fn dropped_in(line: &str) -> Option<u64> {
        let (_, rest) = line.split_once(" WARN ] dropped ")?;
        rest.split(' ').next()?.parse().ok()
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_learns_what_was_dropped() {
        let rig = rig();
        let before = log_lines::dropped();
        let line = format!("{}\n", "x".repeat(999));
        let sent = 3_000;
        for _ in 0..sent {
            rig.writer.push(line.as_bytes());
        }
        // Nothing was read so far: this returns though, and leaves the rest where it is.
        rig.writer.flush(Duration::from_millis(10));
        assert!(rig.writer.queue.lock().bytes <= MAX_QUEUE_BYTES);
        let (writer, written) = rig.read_on();
        writer.flush(PATIENCE);
        let lines: Vec<_> = written.try_iter().collect();
        let (told, kept): (Vec<_>, Vec<_>) =
            lines.iter().partition(|line| dropped_in(line).is_some());
        assert_eq!(told.len(), 1, "{told:?}");
        let dropped = dropped_in(told[0]).unwrap();
        assert_eq!(kept.len() as u64 + dropped, sent);
        assert!(kept.len() > 900, "{}", kept.len());
        assert!(log_lines::dropped() - before >= dropped);
    }

    #[test]
    fn the_count_stands_where_the_lines_are_missing() {
        let rig = rig();
        let big = vec![b'x'; MAX_LINE_BYTES];
        for _ in 0..200 {
            rig.writer.push(&big);
        }
        let (writer, written) = rig.read_on();
        writer.flush(PATIENCE);
        writer.push(b"after\n");
        writer.flush(PATIENCE);
        let lines: Vec<_> = written.try_iter().collect();
        let (last, rest) = lines.split_last().unwrap();
        assert_eq!(last, "after\n");
        assert!(dropped_in(rest.last().unwrap()).is_some());
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_later() {
        let rig = rig();
        let broken = || Err(ErrorKind::BrokenPipe.into());
        rig.words.send(broken()).unwrap();
        rig.writer.push(b"lost\n");
        rig.writer.flush(PATIENCE);
        rig.words.send(broken()).unwrap();
        rig.writer.push(b"lost too\n");
        rig.writer.flush(PATIENCE);
        rig.words.send(Ok(())).unwrap();
        assert_eq!(dropped_in(&rig.next()), Some(2), "without another line");
        rig.words.send(Ok(())).unwrap();
        rig.writer.push(b"kept\n");
        assert_eq!(rig.next(), "kept\n");
    }

    #[test]
    fn an_output_that_would_block_is_waited_for() {
        let rig = rig();
        for _ in 0..3 {
            rig.words.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        }
        rig.words.send(Ok(())).unwrap();
        rig.writer.push(b"late\n");
        assert_eq!(rig.next(), "late\n");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = "ä".repeat(MAX_LINE_BYTES);
        let line = String::from_utf8(cut(long.as_bytes())).unwrap();
        assert!(line.len() <= MAX_LINE_BYTES && line.ends_with("ä (cut)\n"));
        assert_eq!(cut(b"short\n"), b"short\n");
    }

    #[test]
    fn there_is_room_for_the_last_words() {
        let rig = rig();
        for _ in 0..200 {
            rig.writer.push(&vec![b'x'; MAX_LINE_BYTES]);
        }
        rig.writer.push_last(b"the end\n");
        let (writer, written) = rig.read_on();
        writer.flush(PATIENCE);
        assert_eq!(written.try_iter().last().unwrap(), "the end\n");
    }

    #[test]
    fn a_line_written_in_part_does_not_run_into_the_next_one() {
        struct Halves(Vec<u8>, u32);
        impl Write for &mut Halves {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                if self.1 == 2 {
                    return Err(ErrorKind::StorageFull.into());
                }
                let half = bytes.len().div_ceil(2);
                self.0.extend(&bytes[..half]);
                Ok(half)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut halves = Halves(Vec::new(), 0);
        let mut out = Output {
            out: &mut halves,
            is_torn: false,
        };
        assert!(out.write_line(b"torn\n").is_err());
        assert!(out.write_line(b"whole\n").is_ok());
        assert_eq!(halves.0, b"tor\nwhole\n");
    }
}
