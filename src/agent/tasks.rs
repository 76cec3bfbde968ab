//! The tasks of an agent, none of which ends without a word.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use log::error;
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinSet;

use super::client::sanitize::sanitize;
use super::events::Event;

/// The tasks of an agent. Dropping them ends them.
#[derive(Default)]
pub(crate) struct Tasks {
    running: JoinSet<()>,
}

impl Tasks {
    /// Runs `task` until it ends or panics; a panic is logged and becomes [`Event::Failed`]. `name`
    /// says what the task does.
    pub(crate) fn spawn(
        &mut self,
        name: String,
        events: broadcast::Sender<Event>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.spawn(async move {
            // The task is not used after its panic, so it does not matter what it leaves behind.
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                let reason = message_of(&*panic);
                error!("{name} has ended by a fault of the program: {reason}");
                // Fails if there is no reader, which is fine.
                let _ = events.send(Event::Failed { task: name, reason });
            }
        });
    }

    pub(crate) fn into_shared(self) -> Mutex<JoinSet<()>> {
        Mutex::new(self.running)
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    sanitize(text.unwrap_or("it panicked without a message"))
}
