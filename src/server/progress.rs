//! The progress of a start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the rows that a start has read; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    loaded_rows: AtomicU64,
    total_rows: AtomicU64,
}

impl Progress {
    /// Sets the number of rows, none of which is read yet.
    pub(crate) fn begin(&self, total_rows: u64) {
        self.0.loaded_rows.store(0, Ordering::Relaxed);
        self.0.total_rows.store(total_rows, Ordering::Relaxed);
    }

    /// Counts rows that were read.
    pub(crate) fn add(&self, rows: u64) {
        self.0.loaded_rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// The number of rows read so far, and the number of all rows.
    pub(crate) fn rows(&self) -> (u64, u64) {
        (
            self.0.loaded_rows.load(Ordering::Relaxed),
            self.0.total_rows.load(Ordering::Relaxed),
        )
    }
}
