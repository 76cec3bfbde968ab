//! Compresses a limited number of bodies at a time.

use std::io::Write;
use std::sync::Arc;

use actix_web::web::{self, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits how many responses are compressed at a time; clones share the limit.
#[derive(Clone, Debug)]
pub(crate) struct Compressor(Arc<Semaphore>);

impl Compressor {
    /// Allows one compression per two cores, so that the workers keep at least half of them.
    pub(crate) fn new(cores: usize) -> Self {
        Self(Arc::new(Semaphore::new((cores / 2).max(1))))
    }

    /// Returns a permit to compress one body, or `None` if the maximum is being compressed. It
    /// does not wait for a permit: many clients could make a body wait, and stay in memory, for
    /// any length of time.
    pub(crate) fn try_acquire(&self) -> Option<CompressionPermit> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .ok()
            .map(|permit| CompressionPermit { _permit: permit })
    }
}

/// A permit to compress one body.
pub(crate) struct CompressionPermit {
    _permit: OwnedSemaphorePermit,
}

impl CompressionPermit {
    /// Returns `plain` compressed, or `None` if that failed.
    pub(crate) async fn gzip(self, plain: Bytes) -> Option<Vec<u8>> {
        // A full page takes some milliseconds, too long to block the worker's other connections.
        // The closure owns the permit because the thread continues after the client disconnected.
        let compressed = web::block(move || {
            let _permit = self;
            gzip(&plain)
        });
        compressed.await.ok()?.ok()
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}
