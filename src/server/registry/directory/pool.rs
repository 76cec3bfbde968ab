//! Values that many peers share, stored once.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::sharded::ShardedTable;

/// A value that contains its own key.
pub(crate) trait Pooled {
    type Key: Eq + Hash + ?Sized;

    fn key(&self) -> &Self::Key;

    /// Memory of the value and of its entry, in bytes.
    fn bytes(&self) -> usize;
}

/// Values with the number of their users.
#[derive(Debug)]
pub(crate) struct Pool<T: ?Sized> {
    entries: ShardedTable<(Arc<T>, usize)>,
    hasher: RandomState,
    bytes: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            entries: ShardedTable::default(),
            hasher: RandomState::new(),
            bytes: 0,
        }
    }
}

impl<T: Pooled + ?Sized> Pool<T> {
    /// Memory of all values, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of users of the value with this key.
    pub(crate) fn users(&self, key: &T::Key) -> usize {
        let hash = self.hasher.hash_one(key);
        let entry = self.entries.get(hash, |(it, _)| it.key() == key);
        entry.map_or(0, |(_, users)| *users)
    }

    /// Adds a user of the value with this key. If there is no such value, `make` makes it.
    pub(crate) fn acquire(&mut self, key: &T::Key, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let hash = self.hasher.hash_one(key);
        if let Some((value, users)) = self.entries.get_mut(hash, |(it, _)| it.key() == key) {
            *users += 1;
            return Arc::clone(value);
        }
        let value = make();
        self.bytes += value.bytes();
        let entry = (Arc::clone(&value), 1);
        let hasher = &self.hasher;
        self.entries
            .insert(hash, entry, |(it, _)| hasher.hash_one(it.key()));
        value
    }

    /// Removes a user of a value. Returns whether it was the last one.
    pub(crate) fn release(&mut self, key: &T::Key) -> bool {
        let hash = self.hasher.hash_one(key);
        let Some((_, users)) = self.entries.get_mut(hash, |(it, _)| it.key() == key) else {
            return false;
        };
        *users -= 1;
        if *users > 0 {
            return false;
        }
        let hasher = &self.hasher;
        let removed = self.entries.remove(
            hash,
            |(it, _)| it.key() == key,
            |(it, _)| hasher.hash_one(it.key()),
        );
        if let Some((value, _)) = removed {
            self.bytes -= value.bytes();
        }
        true
    }
}

/// Memory of an entry besides its value, in bytes: a pointer, two reference counts, the number of
/// users, and a share of the table's free slots.
pub(crate) const ENTRY_BYTES: usize = 48;

impl Pooled for str {
    type Key = str;

    fn key(&self) -> &str {
        self
    }

    fn bytes(&self) -> usize {
        self.len() + ENTRY_BYTES
    }
}
