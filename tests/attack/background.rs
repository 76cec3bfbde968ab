//! Work in another thread, while a test examines the server.

use std::thread::JoinHandle;

use tokio::sync::watch;
use tokio::task::LocalSet;

/// Runs a future to completion on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// A signal to stop. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once the signal is set.
    pub async fn wait(&self) {
        // An error means that the sender is gone, but `self` is a sender.
        let _ = self.0.subscribe().wait_for(|is_set| *is_set).await;
    }
}

/// Work in another thread.
pub struct Background<T> {
    stop: Stop,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `work`. Tasks that it has spawned end with it.
    pub fn begin(work: impl AsyncFnOnce(Stop) -> T + Send + 'static) -> Self {
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::spawn(move || block_on(work(told)));
        Self { stop, thread }
    }

    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the work ends on its own.
    pub fn done(self) -> T {
        self.thread.join().unwrap()
    }

    /// Signals the work to stop and waits for its end.
    pub fn end(self) -> T {
        self.stop.set();
        self.done()
    }
}
