//! Detects files that another process has overwritten in place.
//!
//! While a write-ahead log is in use, only SQLite writes to the database file, and only when it
//! moves pages from the log into it. `cp` writes into the same file without SQLite's knowledge. No
//! connection notices, because the index of the log does not change. So the registry numbers the
//! states of the file: before each move it writes a new number into the header (`user_version`). A
//! backup has a lower number, and another database has an unrelated one. [`wal`](super::wal) checks the
//! log.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;

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

/// 65,536 does not fit into the field, which is then 1.
pub(crate) fn page_bytes(field: u16) -> u64 {
    if field == 1 { 1 << 16 } else { field.into() }
}

pub(crate) fn u32_be(bytes: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(four(bytes, offset))
}

pub(crate) fn u32_ne(bytes: &[u8], offset: usize) -> u32 {
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
