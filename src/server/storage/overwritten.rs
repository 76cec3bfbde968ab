//! Detects files that another process has overwritten in place.
//!
//! While a write-ahead log is in use, only SQLite writes to the database file, and only when it
//! moves pages from the log into it. `cp` writes into the same file without SQLite's knowledge. No
//! connection notices, because the index of the log does not change. So the registry numbers the
//! states of the file: before each move it writes a new number into the header (`user_version`). A
//! backup has a lower number, and another database has an unrelated one. The log is checked too:
//! its index says how long it must be, and what its first and last bytes are.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::lock::companions;

/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The length of the header of a database file. Its integers are big-endian.
const HEADER_BYTES: usize = 100;

/// A random first number is at most this, so that the max (2^31 - 1) is never reached.
const MAX_FIRST_NUMBER: u32 = 1 << 30;

/// The maximum number found in a file from which this process continues counting.
const MAX_FOUND_NUMBER: u32 = 0x7f00_0000;

/// How a file differs from what SQLite wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file is empty or does not start like a database.
    NoDatabase,
    /// The file is an older state of the database, or another database.
    OtherState,
    /// The file is shorter than its header says.
    CutShort,
    /// The log does not match its index.
    OtherLog,
}

/// The fields of the header that identify a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    number: u32,
    /// SQLite's change counter: any process that changes the header increments it.
    changes: u32,
    /// The min length of the file.
    min_bytes: u64,
}

impl Header {
    /// Returns `None` if the file is not a database.
    fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES];
        if file.metadata()?.len() < HEADER_BYTES as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0)?;
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let page_bytes = page_bytes(u16::from_be_bytes([bytes[16], bytes[17]]));
        let changes = u32_be(&bytes, 24);
        // An old SQLite does not update the number of pages. It does not update the second copy of
        // the change counter either, so the two differ.
        let pages = if u32_be(&bytes, 92) == changes {
            u32_be(&bytes, 28)
        } else {
            0
        };
        Ok(Some(Self {
            number: u32_be(&bytes, 60),
            changes,
            min_bytes: u64::from(pages) * page_bytes,
        }))
    }
}

/// The states of the file that this process knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct States {
    /// The lowest number that the file may have, and the last number that this process has
    /// assigned. `None` until it has assigned one.
    given: Option<(u32, u32)>,
    seen: Option<Header>,
}

impl States {
    pub(crate) fn has_assigned(&self) -> bool {
        self.given.is_some()
    }

    /// Assigns a number to the next state. `found` is the number in the database and is used only
    /// if this process has not assigned one yet.
    pub(crate) fn next(&mut self, found: i64) -> u32 {
        let (first, number) = match self.given {
            Some((first, last)) => (first, last + 1),
            None => {
                match u32::try_from(found) {
                    // The number found may be in the log and not in the file yet, so the file may
                    // still get it.
                    Ok(found @ 1..=MAX_FOUND_NUMBER) => (found, found + 1),
                    // A random start, because two databases must not have the same numbers.
                    _ => {
                        let number = RandomState::new().hash_one(found) as u32 % MAX_FIRST_NUMBER;
                        (number + 1, number + 1)
                    }
                }
            }
        };
        self.given = Some((first, number));
        number
    }

    /// Checks the database file and remembers its header. `is_at_rest` says that no process is
    /// moving pages into it.
    pub(crate) fn look(&mut self, file: &File, is_at_rest: bool) -> Option<Fault> {
        let fault = self.look_once(file, is_at_rest)?;
        // SQLite may have written the header while we read it. A real fault is still there when we
        // read it again.
        (self.look_once(file, is_at_rest) == Some(fault)).then_some(fault)
    }

    fn look_once(&mut self, file: &File, is_at_rest: bool) -> Option<Fault> {
        let header = match Header::read(file) {
            Ok(Some(header)) => header,
            Ok(None) => return Some(Fault::NoDatabase),
            // An error of the file system does not mean that the file was overwritten.
            Err(_) => return None,
        };
        if let (Some(seen), Some((first, last))) = (self.seen, self.given) {
            // Numbers only grow while this process runs. A number seen before the first assigned
            // one may be anything.
            let is_known = header.number == seen.number
                || (first..=last).contains(&header.number)
                    && (seen.number < header.number || seen.number > last);
            // SQLite's counter wraps around, so compare the distance instead of the values.
            let is_older = header.changes.wrapping_sub(seen.changes) > u32::MAX / 2;
            if !is_known || is_older {
                return Some(Fault::OtherState);
            }
        }
        let bytes = file.metadata().map_or(u64::MAX, |file| file.len());
        if is_at_rest && bytes < header.min_bytes {
            return Some(Fault::CutShort);
        }
        self.seen = Some(header);
        None
    }
}

/// The write-ahead log and its index.
///
/// Drop this only after the connection is closed: when this process closes any handle on the index,
/// the system drops the locks that SQLite holds on it.
#[derive(Debug)]
pub(crate) struct Log {
    log: File,
    index: File,
}

/// The first bytes of the index: its header twice, and how many frames were moved into the file.
/// Its integers are in native byte order.
type Index = [u8; 136];

impl Log {
    pub(crate) fn beside(real: &Path) -> io::Result<Self> {
        let [log, index] = companions(real);
        Ok(Self {
            log: File::open(log)?,
            index: File::open(index)?,
        })
    }

    fn index(&self) -> io::Result<Index> {
        let mut index = [0; 136];
        self.index.read_exact_at(&mut index, 0)?;
        Ok(index)
    }

    /// Whether no process is moving pages from the log into the file.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.index()
            .is_ok_and(|index| u32_ne(&index, 96) == u32_ne(&index, 128))
    }

    /// Compares the first and last bytes of the log with its index.
    pub(crate) fn look(&self) -> Option<Fault> {
        let Ok(index) = self.index() else {
            return None;
        };
        if self.holds(&index) {
            return None;
        }
        // Another connection may have written between the two reads; then the index has changed.
        let is_same = self.index().is_ok_and(|now| now == index);
        (is_same && !self.holds(&index)).then_some(Fault::OtherLog)
    }

    /// Reads all frames that are not in the file yet and verifies their checksums, like a start
    /// after a crash. For 32 MiB this takes tens of milliseconds, as long as moving them.
    pub(crate) fn look_through(&self) -> Option<Fault> {
        let Ok(index) = self.index() else {
            return None;
        };
        let is_same = || self.index().is_ok_and(|now| now == index);
        match self.has_valid_checksums(&index) {
            Ok(true) | Err(_) => None,
            Ok(false) => is_same().then_some(Fault::OtherLog),
        }
    }

    /// Whether each frame that is only in the log has the right checksums.
    fn has_valid_checksums(&self, index: &Index) -> io::Result<bool> {
        let (frames, moved) = (u32_ne(index, 16), u32_ne(index, 96));
        if !is_written(index) || frames <= moved {
            return Ok(true);
        }
        let is_big_endian = index[13] != 0;
        let mut sums = match moved {
            // Checksums are cumulative: start from the ones before the first frame to verify.
            0 => self.sums_at(LOG_HEAD_BYTES as u64 - 8)?,
            _ => self.sums_at(frame_at(index, moved) + FRAME_HEAD_BYTES as u64 - 8)?,
        };
        let frame_bytes = FRAME_HEAD_BYTES + page_bytes_of(index) as usize;
        let mut frame = vec![0; frame_bytes];
        for number in moved + 1..=frames {
            self.log
                .read_exact_at(&mut frame, frame_at(index, number))?;
            // The checksum covers the first 8 bytes of the frame's header and its page.
            sums = sum_up(sums, &frame[..8], is_big_endian);
            sums = sum_up(sums, &frame[FRAME_HEAD_BYTES..], is_big_endian);
            if sums != (u32_be(&frame, 16), u32_be(&frame, 20)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sums_at(&self, offset: u64) -> io::Result<(u32, u32)> {
        let mut bytes = [0; 8];
        self.log.read_exact_at(&mut bytes, offset)?;
        Ok((u32_be(&bytes, 0), u32_be(&bytes, 4)))
    }

    /// Whether the log begins and ends as the index says.
    fn holds(&self, index: &Index) -> bool {
        let (frames, moved) = (u32_ne(index, 16), u32_ne(index, 96));
        if !is_written(index) || frames == moved {
            // Everything in the log is in the file too, so the content of the log does not matter.
            return true;
        }
        let last_at = frame_at(index, frames);
        let (mut head, mut last) = ([0; LOG_HEAD_BYTES], [0; FRAME_HEAD_BYTES]);
        let read = self.log.read_exact_at(&mut head, 0);
        let read = read.and_then(|()| self.log.read_exact_at(&mut last, last_at));
        let salts = &index[32..40];
        match read {
            Ok(()) => {
                // The magic number of a log (its lowest bit is the byte order), the salts that
                // change with each reset of the log, and the checksums of the last frame.
                u32_be(&head, 0) | 1 == 0x377f_0683
                    && head[16..24] == *salts
                    && last[8..16] == *salts
                    && u32_be(&last, 16) == u32_ne(index, 24)
                    && u32_be(&last, 20) == u32_ne(index, 28)
            }
            Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
        }
    }
}

/// Whether the index is consistent: SQLite writes both copies of its header, one after the other.
fn is_written(index: &Index) -> bool {
    index[..48] == index[48..96] && index[12] == 1
}

fn page_bytes_of(index: &Index) -> u64 {
    page_bytes(u16::from_ne_bytes([index[14], index[15]]))
}

/// The offset of a frame in the log, in bytes. Frames are numbered from 1.
fn frame_at(index: &Index, number: u32) -> u64 {
    LOG_HEAD_BYTES as u64 + u64::from(number - 1) * (page_bytes_of(index) + FRAME_HEAD_BYTES as u64)
}

/// The length of the log's header.
const LOG_HEAD_BYTES: usize = 32;

/// The length of a frame's header; the page follows it.
const FRAME_HEAD_BYTES: usize = 24;

/// SQLite's checksum. The length of `bytes` is a multiple of eight.
fn sum_up(mut sums: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8], offset| match is_big_endian {
        true => u32_be(bytes, offset),
        false => u32_be(bytes, offset).swap_bytes(),
    };
    for pair in bytes.chunks_exact(8) {
        sums.0 = sums.0.wrapping_add(word(pair, 0)).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(word(pair, 4)).wrapping_add(sums.0);
    }
    sums
}

/// 65,536 does not fit into the field, which is then 1.
fn page_bytes(field: u16) -> u64 {
    if field == 1 { 1 << 16 } else { field.into() }
}

fn u32_be(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(four(bytes, offset))
}

fn u32_ne(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(four(bytes, offset))
}

fn four(bytes: &[u8], offset: usize) -> [u8; 4] {
    [
        bytes[offset],
        bytes[offset + 1],
        bytes[offset + 2],
        bytes[offset + 3],
    ]
}
