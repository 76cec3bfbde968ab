//! Whether the bytes of the files are still the ones that SQLite wrote.
//!
//! While the log is used, SQLite alone writes the database file, when it moves pages out of the log.
//! `cp` writes into the same file without SQLite's knowledge: no connection notices, as the index of
//! the log stays the same. So the registry numbers the states of the file. The number is in the
//! header (`user_version`), and a new one is given before the log is moved into the file. A backup has
//! a lower number, and a file of somebody else has another one. The index of the log says how long the
//! log must be and what it must begin and end with.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::lock::companions;

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The header of a database file. Its numbers are big-endian.
const HEADER_BYTES: usize = 100;

/// Numbers begin below this one, so that the largest one (2^31 - 1) is never reached.
const MAX_FIRST_NUMBER: u32 = 1 << 30;

/// The largest number that numbers go on from.
const MAX_FOUND_NUMBER: u32 = 0x7f00_0000;

/// What was done to the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file does not begin like a database, or is empty.
    NoDatabase,
    /// The database is an older state, or another one.
    OtherState,
    /// The file is shorter than its header says.
    CutShort,
    /// The log is not the one that its index describes.
    OtherLog,
}

/// The part of the header that tells states apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    number: u32,
    /// Grows with each change of the header, whoever makes it.
    changes: u32,
    /// How long the file must be at least.
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
        // An old SQLite does not keep the number of pages; then the second number differs.
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

/// Which states of the file this process knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct States {
    /// The first number that the file can have, and the last one that this process gave.
    given: Option<(u32, u32)>,
    seen: Option<Header>,
}

impl States {
    pub(crate) fn has_given(&self) -> bool {
        self.given.is_some()
    }

    /// Gives a number to the next state. `found` is the number in a database that has none of this
    /// process yet.
    pub(crate) fn next(&mut self, found: i64) -> u32 {
        let (first, number) = match self.given {
            Some((first, last)) => (first, last + 1),
            None => {
                match u32::try_from(found) {
                    // The number found may still be on its way from the log into the file.
                    Ok(found @ 1..=MAX_FOUND_NUMBER) => (found, found + 1),
                    // Two databases must not have the same numbers.
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

    /// Looks at the database file, and remembers what it has seen. `is_at_rest` says that nobody moves
    /// pages into it.
    pub(crate) fn look(&mut self, file: &File, is_at_rest: bool) -> Option<Fault> {
        let fault = self.look_once(file, is_at_rest)?;
        // A header that was read while it was written may be half of each.
        (self.look_once(file, is_at_rest) == Some(fault)).then_some(fault)
    }

    fn look_once(&mut self, file: &File, is_at_rest: bool) -> Option<Fault> {
        let header = match Header::read(file) {
            Ok(Some(header)) => header,
            Ok(None) => return Some(Fault::NoDatabase),
            // A file system that returns an error has overwritten nothing.
            Err(_) => return None,
        };
        if let (Some(seen), Some((first, last))) = (self.seen, self.given) {
            let is_known = header.number == seen.number
                || (first..=last).contains(&header.number)
                    && (seen.number < header.number || seen.number > last);
            // Wraps around, as SQLite's number does.
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
/// Must be dropped after the connection is closed: to close any handle on the index would end the
/// locks that SQLite holds on it for this process.
#[derive(Debug)]
pub(crate) struct Log {
    log: File,
    index: File,
}

/// The beginning of the index: its header twice, and how far the log was moved into the file. Its
/// numbers are in the machine's order of bytes.
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

    /// Whether nobody moves pages from the log into the file at present.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.index()
            .is_ok_and(|index| u32_ne(&index, 96) == u32_ne(&index, 128))
    }

    /// Compares the log with its index.
    pub(crate) fn look(&self) -> Option<Fault> {
        let Ok(index) = self.index() else {
            return None;
        };
        if self.holds(&index) {
            return None;
        }
        // Somebody may have written meanwhile, which the index says.
        let is_same = self.index().is_ok_and(|now| now == index);
        (is_same && !self.holds(&index)).then_some(Fault::OtherLog)
    }

    /// Reads what is to be moved into the file, as a start after a crash would: all must have the sums
    /// that were written with it. For 32 MiB this takes tens of milliseconds, as the move does itself.
    pub(crate) fn look_through(&self) -> Option<Fault> {
        let Ok(index) = self.index() else {
            return None;
        };
        let is_same = || self.index().is_ok_and(|now| now == index);
        match self.is_summed_up(&index) {
            Ok(true) | Err(_) => None,
            Ok(false) => is_same().then_some(Fault::OtherLog),
        }
    }

    /// Whether each frame that is in the log alone has its sums.
    fn is_summed_up(&self, index: &Index) -> io::Result<bool> {
        let (frames, moved) = (u32_ne(index, 16), u32_ne(index, 96));
        if !is_written(index) || frames <= moved {
            return Ok(true);
        }
        let is_big_endian = index[13] != 0;
        let mut sums = match moved {
            // What comes before the sums.
            0 => self.sums_at(LOG_HEAD_BYTES as u64 - 8)?,
            _ => self.sums_at(frame_at(index, moved) + FRAME_HEAD_BYTES as u64 - 8)?,
        };
        let frame_bytes = FRAME_HEAD_BYTES + page_bytes_of(index) as usize;
        let mut frame = vec![0; frame_bytes];
        for number in moved + 1..=frames {
            self.log
                .read_exact_at(&mut frame, frame_at(index, number))?;
            sums = sum_up(sums, &frame[..8], is_big_endian);
            sums = sum_up(sums, &frame[FRAME_HEAD_BYTES..], is_big_endian);
            if sums != (u32_be(&frame, 16), u32_be(&frame, 20)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sums_at(&self, at: u64) -> io::Result<(u32, u32)> {
        let mut bytes = [0; 8];
        self.log.read_exact_at(&mut bytes, at)?;
        Ok((u32_be(&bytes, 0), u32_be(&bytes, 4)))
    }

    /// Whether the log begins and ends as the index says.
    fn holds(&self, index: &Index) -> bool {
        let (frames, moved) = (u32_ne(index, 16), u32_ne(index, 96));
        if !is_written(index) || frames == moved {
            // Everything in the log is in the file too.
            return true;
        }
        let last_at = frame_at(index, frames);
        let (mut head, mut last) = ([0; LOG_HEAD_BYTES], [0; FRAME_HEAD_BYTES]);
        let read = self.log.read_exact_at(&mut head, 0);
        let read = read.and_then(|()| self.log.read_exact_at(&mut last, last_at));
        let salts = &index[32..40];
        match read {
            Ok(()) => {
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

/// Whether nobody was writing the index while it was read.
fn is_written(index: &Index) -> bool {
    index[..48] == index[48..96] && index[12] == 1
}

fn page_bytes_of(index: &Index) -> u64 {
    page_bytes(u16::from_ne_bytes([index[14], index[15]]))
}

/// Where a frame begins in the log. Frames are counted from 1.
fn frame_at(index: &Index, number: u32) -> u64 {
    LOG_HEAD_BYTES as u64 + u64::from(number - 1) * (page_bytes_of(index) + FRAME_HEAD_BYTES as u64)
}

/// The bytes of the log before its first frame.
const LOG_HEAD_BYTES: usize = 32;

/// The bytes of a frame before its page.
const FRAME_HEAD_BYTES: usize = 24;

/// Sums up bytes, whose number is a multiple of eight, as SQLite does.
fn sum_up(mut sums: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8], at| match is_big_endian {
        true => u32_be(bytes, at),
        false => u32_be(bytes, at).swap_bytes(),
    };
    for pair in bytes.chunks_exact(8) {
        sums.0 = sums.0.wrapping_add(word(pair, 0)).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(word(pair, 4)).wrapping_add(sums.0);
    }
    sums
}

/// Pages of 64 KiB do not fit into the field, which says 1 then.
fn page_bytes(field: u16) -> u64 {
    if field == 1 { 1 << 16 } else { field.into() }
}

fn u32_be(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(four(bytes, at))
}

fn u32_ne(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(four(bytes, at))
}

fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]
}
