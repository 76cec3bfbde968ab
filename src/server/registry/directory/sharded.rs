//! A hash table that grows without long pauses.
//!
//! A table of a million entries takes 100 ms to double. Many small tables double one after another,
//! each in microseconds.

use hashbrown::HashTable;

/// Number of shards of a table. With 30 million entries, each shard has 30,000 and doubles in 1 ms.
const SHARDS: usize = 1024;

/// A shard shrinks when less than one part in this many of its capacity is used.
const SHRINK_BELOW: usize = 8;

/// Values by the hash of their key.
#[derive(Debug)]
pub(crate) struct ShardedTable<T> {
    shards: Box<[HashTable<T>]>,
    len: usize,
}

impl<T> Default for ShardedTable<T> {
    fn default() -> Self {
        Self {
            shards: std::iter::repeat_with(HashTable::new)
                .take(SHARDS)
                .collect(),
            len: 0,
        }
    }
}

impl<T> ShardedTable<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards[shard_of(hash)].find(hash, eq)
    }

    pub(crate) fn get_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.shards[shard_of(hash)].find_mut(hash, eq)
    }

    /// The values of one shard; `None` after the last shard.
    pub(crate) fn shard(&self, index: usize) -> Option<impl Iterator<Item = &T>> {
        self.shards.get(index).map(HashTable::iter)
    }

    /// Adds a value. The table must not contain its key; `hash_of` hashes the key of any value.
    pub(crate) fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) {
        self.shards[shard_of(hash)].insert_unique(hash, value, hash_of);
        self.len += 1;
    }

    /// Removes a value, if it is there.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let shard = &mut self.shards[shard_of(hash)];
        let (value, _) = shard.find_entry(hash, eq).ok()?.remove();
        self.len -= 1;
        if shard.len() < shard.capacity() / SHRINK_BELOW {
            let len = shard.len();
            shard.shrink_to(len * 2, hash_of);
        }
        Some(value)
    }
}

fn shard_of(hash: u64) -> usize {
    // The table itself uses the lowest and the seven highest bits.
    (hash >> 32) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_it_holds_and_gives_memory_back() {
        let hash = |value: &u64| value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut table = ShardedTable::default();
        for value in 0..100_000_u64 {
            table.insert(hash(&value), value, hash);
        }
        assert_eq!(table.len(), 100_000);
        let full: usize = table.shards.iter().map(HashTable::capacity).sum();
        for value in 10..100_000 {
            let removed = table.remove(hash(&value), |it| *it == value, hash);
            assert_eq!(removed, Some(value));
        }
        assert_eq!(table.get(hash(&3), |it| *it == 3), Some(&3));
        assert_eq!(table.get(hash(&50), |it| *it == 50), None);
        let left: usize = table.shards.iter().map(HashTable::capacity).sum();
        assert!(left < full / 10, "{left} of {full}");
    }
}
