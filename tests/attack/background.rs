//! What goes on in a thread of its own while a test looks at the server.

use std::thread::JoinHandle;

use tokio::sync::watch;
use tokio::task::LocalSet;

/// Runs a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// Tells some work that it should end. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when it is set.
    pub async fn wait(&self) {
        // It fails only without a sender, and this is one.
        let _ = self.0.subscribe().wait_for(|is_set| *is_set).await;
    }
}

/// Work in a thread of its own.
pub struct Background<T> {
    stop: Stop,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Background<T> {
    /// Begins `work`. Tasks that it has spawned end with it.
    pub fn begin(work: impl AsyncFnOnce(Stop) -> T + Send + 'static) -> Self {
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::spawn(move || block_on(work(told)));
        Self { stop, thread }
    }

    pub fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the work ends by itself.
    pub fn done(self) -> T {
        self.thread.join().unwrap()
    }

    /// Tells the work to end, and waits for it.
    pub fn end(self) -> T {
        self.stop.set();
        self.done()
    }
}
