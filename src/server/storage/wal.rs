//! Verifies the write-ahead log.
//!
//! SQLite verifies the log only when it opens it. A running connection trusts it: it appends behind
//! a hole, and moves damaged pages into the database file. So the registry verifies each frame
//! before a page of it can be moved. The checksums of the frames are cumulative: each one covers all
//! frames before it. The registry remembers how far it has verified the log, and each look reads
//! only the frames that are new since then. An older log has other salts or another frame at the
//! remembered position, and a log that was cut short ends before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::access::CHECKPOINT_PAGES;
use super::file_names::companions;
use super::overwritten::{Fault, page_bytes, u32_be, u32_ne};

/// The length of the log's header, in bytes.
const HEAD_BYTES: usize = 32;

/// The length of a frame's header, in bytes; the page follows it.
const FRAME_HEAD_BYTES: usize = 24;

/// The number of frames read at once: 128 KiB with pages of 4 KiB.
const READ_FRAMES: u32 = 32;

/// SQLite's cumulative checksum.
type Sums = (u32, u32);

/// The write-ahead log and its index.
///
/// Drop this only after the connection is closed: when this process closes any handle on the index,
/// the system drops the locks that SQLite holds on it.
#[derive(Debug)]
pub(crate) struct Log {
    log: File,
    index: File,
    /// The last frame that was verified.
    verified: Mutex<Position>,
    /// The last frame when the log was last moved into the file.
    moved: Mutex<Position>,
}

/// A frame, with the checksums of everything up to it. Number 0 is the log's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// Random numbers that change each time SQLite begins the log anew.
    salts: [u8; 8],
    frame: u32,
    sums: Sums,
}

impl Log {
    pub(crate) fn beside(real: &Path) -> io::Result<Self> {
        let [log, index] = companions(real);
        Ok(Self {
            log: File::open(log)?,
            index: File::open(index)?,
            verified: Mutex::default(),
            moved: Mutex::default(),
        })
    }

    /// The index; `None` if it cannot be read, or if another process is writing it.
    fn index(&self) -> Option<Index> {
        let mut index = Index([0; INDEX_BYTES]);
        self.index.read_exact_at(&mut index.0, 0).ok()?;
        index.is_written().then_some(index)
    }

    /// Whether no process is moving pages from the log into the file.
    pub(crate) fn is_at_rest(&self) -> bool {
        let mut index = Index([0; INDEX_BYTES]);
        let read = self.index.read_exact_at(&mut index.0, 0);
        read.is_ok() && index.moved() == index.being_moved()
    }

    /// Whether the log still ends as the index says. Two short reads, cheap enough before each
    /// commit, so that no commit is appended to a log that was cut short.
    pub(crate) fn has_end(&self) -> bool {
        let Some(index) = self.index() else {
            return true;
        };
        self.holds(index.end(), &index) || !self.is_unchanged(&index)
    }

    /// Verifies the frames that are new since the last look. The caller keeps other threads of this
    /// process from writing.
    pub(crate) fn look(&self) -> Option<Fault> {
        let index = self.index()?;
        if self.is_sound(&index) {
            return None;
        }
        // Another process may have begun the log anew between two reads. It writes the index first.
        let is_fault = self.is_unchanged(&index) && !self.is_sound(&index);
        is_fault.then_some(Fault::OtherLog)
    }

    fn is_sound(&self, index: &Index) -> bool {
        if index.end().frame == 0 {
            return true;
        }
        let known = *lock(&self.verified);
        let is_same = known.salts == index.salts();
        if is_same && (known.frame > index.end().frame || !self.holds(known, index)) {
            return false;
        }
        let known = if is_same { known } else { Position::default() };
        match self.verify(known, index) {
            Ok(valid) => {
                *lock(&self.verified) = valid;
                valid == index.end()
            }
            // An error of the file system does not mean that the log was overwritten.
            Err(_) => true,
        }
    }

    /// Verifies frames while other threads write, so that the next [`look`](Self::look) has little
    /// to read. With `from_start` it verifies those again that were verified before.
    pub(crate) fn read_ahead(&self, from_start: bool) {
        let Some(index) = self.index().filter(|index| index.end().frame > 0) else {
            return;
        };
        let known = *lock(&self.verified);
        let is_known = !from_start && known.salts == index.salts();
        let known = if is_known { known } else { Position::default() };
        if let Ok(valid) = self.verify(known, &index)
            && self.is_unchanged(&index)
        {
            // If a frame is damaged, the next look begins right before it.
            *lock(&self.verified) = valid;
        }
    }

    /// Makes the next look verify the whole log.
    pub(crate) fn forget(&self) {
        *lock(&self.verified) = Position::default();
    }

    /// Whether the log was not begun anew since `index` was read. All frames of that index are
    /// then still in it.
    fn is_unchanged(&self, index: &Index) -> bool {
        self.index().is_some_and(|now| now.salts() == index.salts())
    }

    /// Whether the log has this frame, and is not shorter.
    fn holds(&self, position: Position, index: &Index) -> bool {
        if position.frame == 0 {
            return true;
        }
        let mut head = [0; FRAME_HEAD_BYTES];
        match self.log.read_exact_at(&mut head, index.at(position.frame)) {
            Ok(()) => {
                let is_whole = self
                    .log
                    .metadata()
                    .map_or(true, |log| log.len() >= index.at(position.frame + 1));
                is_whole && head[8..16] == position.salts && sums_at(&head, 16) == position.sums
            }
            Err(error) => error.kind() != io::ErrorKind::UnexpectedEof,
        }
    }

    /// Returns the last valid frame. Reads the header and the frames after `known`.
    fn verify(&self, known: Position, index: &Index) -> io::Result<Position> {
        let Some(start) = self.start(index)? else {
            return Ok(Position::default());
        };
        let mut valid = if known.frame == 0 { start } else { known };
        let frame_bytes = index.frame_bytes();
        let mut buffer = vec![0; frame_bytes * READ_FRAMES as usize];
        while valid.frame < index.end().frame {
            let count = (index.end().frame - valid.frame).min(READ_FRAMES) as usize;
            let frames = &mut buffer[..count * frame_bytes];
            match self.log.read_exact_at(frames, index.at(valid.frame + 1)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                read => read?,
            }
            for frame in frames.chunks_exact(frame_bytes) {
                // The checksum covers the first 8 bytes of the frame's header and its page.
                let sums = sum_up(valid.sums, &frame[..8], index.is_big_endian());
                let sums = sum_up(sums, &frame[FRAME_HEAD_BYTES..], index.is_big_endian());
                if sums != sums_at(frame, 16) || frame[8..16] != valid.salts {
                    return Ok(valid);
                }
                valid.frame += 1;
                valid.sums = sums;
            }
        }
        Ok(valid)
    }

    /// Reads the header of the log; `None` if it does not match the index.
    fn start(&self, index: &Index) -> io::Result<Option<Position>> {
        let mut head = [0; HEAD_BYTES];
        match self.log.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let sums = sum_up((0, 0), &head[..24], index.is_big_endian());
        // The lowest bit of the magic number is the byte order.
        let is_valid = u32_be(&head, 0) | 1 == 0x377f_0683
            && head[16..24] == index.salts()
            && sums_at(&head, 24) == sums;
        Ok(is_valid.then_some(Position {
            salts: index.salts(),
            frame: 0,
            sums,
        }))
    }

    /// How many times the log has reached the length at which it should be moved into the file.
    pub(crate) fn due_moves(&self) -> u32 {
        let Some(end) = self.index().map(|index| index.end()) else {
            return 0;
        };
        let moved = *lock(&self.moved);
        let moved = if moved.salts == end.salts {
            moved.frame
        } else {
            0
        };
        // If the last move did not let SQLite begin the log anew, a reader holds an old state. The
        // log then grows, and verifying it before each attempt must not cost more and more.
        end.frame.saturating_sub(moved) / CHECKPOINT_PAGES.max(moved / 4)
    }

    /// Records that the log was moved into the file as far as readers allow.
    pub(crate) fn note_move(&self) {
        if let Some(index) = self.index() {
            *lock(&self.moved) = index.end();
        }
    }
}

fn lock(position: &Mutex<Position>) -> std::sync::MutexGuard<'_, Position> {
    position.lock().unwrap_or_else(PoisonError::into_inner)
}

const INDEX_BYTES: usize = 136;

/// The first bytes of the index: its header twice, and how many frames were moved into the file.
/// Its integers are in native byte order.
#[derive(Clone, Copy)]
struct Index([u8; INDEX_BYTES]);

impl Index {
    /// Whether the index is consistent: SQLite writes both copies of its header, one after the
    /// other.
    fn is_written(&self) -> bool {
        self.0[..48] == self.0[48..96] && self.0[12] == 1
    }

    fn is_big_endian(&self) -> bool {
        self.0[13] != 0
    }

    fn salts(&self) -> [u8; 8] {
        let mut salts = [0; 8];
        salts.copy_from_slice(&self.0[32..40]);
        salts
    }

    /// The last frame.
    fn end(&self) -> Position {
        Position {
            salts: self.salts(),
            frame: u32_ne(&self.0, 16),
            sums: (u32_ne(&self.0, 24), u32_ne(&self.0, 28)),
        }
    }

    /// The number of frames that are in the file.
    fn moved(&self) -> u32 {
        u32_ne(&self.0, 96)
    }

    /// The number of frames that are in the file when the move under way has ended.
    fn being_moved(&self) -> u32 {
        u32_ne(&self.0, 128)
    }

    fn frame_bytes(&self) -> usize {
        let page = page_bytes(u16::from_ne_bytes([self.0[14], self.0[15]]));
        FRAME_HEAD_BYTES + page as usize
    }

    /// The offset of a frame in the log, in bytes. Frames are numbered from 1.
    fn at(&self, frame: u32) -> u64 {
        let before = u64::from(frame.saturating_sub(1));
        HEAD_BYTES as u64 + before * self.frame_bytes() as u64
    }
}

fn sums_at(bytes: &[u8], offset: usize) -> Sums {
    (u32_be(bytes, offset), u32_be(bytes, offset + 4))
}

/// Continues a checksum. The length of `bytes` is a multiple of eight.
fn sum_up(mut sums: Sums, bytes: &[u8], is_big_endian: bool) -> Sums {
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        let (first, second) = match is_big_endian {
            true => (
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            ),
            false => (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
            ),
        };
        sums.0 = sums.0.wrapping_add(first).wrapping_add(sums.1);
        sums.1 = sums.1.wrapping_add(second).wrapping_add(sums.0);
    }
    sums
}
