//! Where mutations wait for the actor.
//!
//! Each message wakes the actor's thread, which costs more than a heartbeat does. So mutations wait
//! here, and only the first one into an empty inbox is announced by a message; the actor takes
//! them all when it begins its next transaction.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::RegistryError;
use super::mutation::Mutation;

/// A queue in order of arrival; clones share it. The permits of the mutations bound its length.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Mutex<Queue>>);

/// `None` once the actor is gone.
type Queue = Option<Vec<Mutation>>;

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    /// Adds a mutation. Returns whether it is the first, of which the actor must be told.
    pub(crate) fn push(&self, mutation: Mutation) -> Result<bool, RegistryError> {
        let mut queue = self.lock();
        let queue = queue.as_mut().ok_or(RegistryError::Stopped)?;
        queue.push(mutation);
        Ok(queue.len() == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().as_ref().is_none_or(Vec::is_empty)
    }

    /// Takes the first mutations, `max` at most.
    pub(crate) fn take(&self, max: usize) -> Vec<Mutation> {
        let mut queue = self.lock();
        let Some(queue) = queue.as_mut() else {
            return Vec::new();
        };
        let rest = queue.split_off(queue.len().min(max));
        mem::replace(queue, rest)
    }

    /// Puts mutations back that were taken, before those that have come since.
    pub(crate) fn put_back(&self, mut taken: Vec<Mutation>) {
        if let Some(queue) = self.lock().as_mut() {
            taken.append(queue);
            *queue = taken;
        }
    }

    /// Whether the actor is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Refuses all that waits and all that comes.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock, and a queue is whole in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
