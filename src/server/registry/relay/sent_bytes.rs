//! Bytes that the HTTP server has sent, and how many of them are in the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the HTTP server has sent since it started; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SentBytes(Arc<AtomicU64>);

impl SentBytes {
    /// Adds to the count.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        i64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }
}

/// How many of the sent bytes are counted, how many are in the transaction under way, and how many
/// are on disk.
#[derive(Debug)]
pub(crate) struct SentProgress {
    sent: SentBytes,
    counted: i64,
    saving: i64,
    saved: i64,
}

impl SentProgress {
    pub(crate) fn new(sent: SentBytes) -> Self {
        Self {
            sent,
            counted: 0,
            saving: 0,
            saved: 0,
        }
    }

    /// Counts the bytes that were sent since the last call, and returns their number.
    pub(crate) fn count(&mut self) -> i64 {
        let sent = self.sent.get();
        let new = sent - self.counted;
        self.counted = sent;
        new
    }

    /// Records that a transaction writes all counted bytes.
    pub(crate) fn begin_save(&mut self) {
        self.saving = self.counted;
    }

    /// Records that the transaction is on disk.
    pub(crate) fn end_save(&mut self) {
        self.saved = self.saving;
    }

    /// Counted bytes that no transaction has written.
    pub(crate) fn unsaved(&self) -> i64 {
        self.counted - self.saved
    }

    /// Continues from the bytes that were on disk when the tables were read again. The others will
    /// be counted again.
    pub(crate) fn resume(&mut self, before: &Self) {
        self.saved = before.saved;
        self.counted = before.saved;
    }
}
