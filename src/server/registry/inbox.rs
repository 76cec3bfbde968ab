//! The queue of mutations before the actor.
//!
//! A message wakes the actor's thread, which costs more than a heartbeat does. So mutations wait
//! here, and only the first mutation in an empty inbox is announced by a message. The actor takes
//! all of them when it begins its next transaction.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::RegistryError;
use super::mutation::Mutation;

/// A queue in order of arrival; clones share it. Each mutation holds a permit, which bounds the
/// length.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Mutex<Queue>>);

/// `None` once the actor has stopped.
type Queue = Option<Vec<Mutation>>;

impl Inbox {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    /// Adds a mutation. Returns whether the inbox was empty, in which case the caller must send a
    /// message to the actor.
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

    /// Puts taken mutations back, before those that have arrived since.
    pub(crate) fn put_back(&self, mut taken: Vec<Mutation>) {
        if let Some(queue) = self.lock().as_mut() {
            taken.append(queue);
            *queue = taken;
        }
    }

    /// Whether the actor has stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_none()
    }

    /// Drops all waiting mutations, which refuses them, and refuses all later ones.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock, and the queue would be valid even then.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
