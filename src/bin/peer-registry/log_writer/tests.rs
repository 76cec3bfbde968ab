//! Readers that stop, that go, and that come back.

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
    let (told, kept): (Vec<_>, Vec<_>) = lines.iter().partition(|line| dropped_in(line).is_some());
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
