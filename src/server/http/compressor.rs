//! Compresses a few bodies at a time.

use std::io::Write;
use std::sync::Arc;

use actix_web::web::{self, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many responses are compressed at a time; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Compressor(Arc<Semaphore>);

impl Compressor {
    /// One for two cores, so that compressing leaves the workers at least half of the machine.
    pub(super) fn new(cores: usize) -> Self {
        Self(Arc::new(Semaphore::new((cores / 2).max(1))))
    }

    /// The right to compress one body. `None` if enough others are being compressed: a body that
    /// waited for them would be held in memory meanwhile, for as long as a crowd likes.
    pub(super) fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.0)
            .try_acquire_owned()
            .ok()
            .map(|permit| Turn { _permit: permit })
    }
}

/// The right to compress one body.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// The compressed `plain`; `None` if that failed.
    pub(super) async fn gzip(self, plain: Bytes) -> Option<Vec<u8>> {
        // Some milliseconds for a full page: too long to keep a worker's other connections waiting.
        // The permit goes along, since the thread goes on when the client has hung up.
        let compressed = web::block(move || {
            let _turn = self;
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
