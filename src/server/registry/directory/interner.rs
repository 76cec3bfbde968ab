//! Texts that are stored once for all peers that announce them, each with its own value.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::mem;

use super::compact_text::CompactText;
use super::sharded::ShardedTable;

/// Slots of a page. Pages are added and dropped one at a time, so that growth never copies a large
/// block.
const PAGE_SLOTS: usize = 1024;

/// Memory of a text in the hash table, in bytes: four for the id and one of the table's own, at
/// average load.
const TABLE_BYTES: usize = 8;

/// The id of a text, valid while the text has users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TextId(u32);

/// Texts with the number of their users.
#[derive(Debug)]
pub(crate) struct Interner<V> {
    ids: ShardedTable<u32>,
    pages: Vec<Option<Page<V>>>,
    /// Pages that have a free slot.
    open: BTreeSet<usize>,
    /// Indexes of pages that were dropped.
    dropped: BTreeSet<usize>,
    hasher: RandomState,
    text_bytes: usize,
}

#[derive(Debug)]
struct Page<V> {
    slots: Vec<Slot<V>>,
    free: Vec<u16>,
}

#[derive(Debug)]
struct Slot<V> {
    text: CompactText,
    users: u32,
    value: V,
}

impl<V> Default for Interner<V> {
    fn default() -> Self {
        Self {
            ids: ShardedTable::default(),
            pages: Vec::new(),
            open: BTreeSet::new(),
            dropped: BTreeSet::new(),
            hasher: RandomState::new(),
            text_bytes: 0,
        }
    }
}

impl<V: Default> Interner<V> {
    /// Memory of the texts and of all slots, used or not, in bytes. The heap memory of values is
    /// not included.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.pages.len() - self.dropped.len();
        let places = pages * PAGE_SLOTS * mem::size_of::<Slot<V>>();
        self.text_bytes + places + self.ids.len() * TABLE_BYTES
    }

    /// Memory of a text's slot and table entry, in bytes.
    pub(crate) const PLACE_BYTES: usize = mem::size_of::<Slot<V>>() + TABLE_BYTES;

    /// Memory of one more text, in bytes.
    pub(crate) fn max_bytes_of(text: &str) -> usize {
        Self::PLACE_BYTES + CompactText::new(text).heap_bytes()
    }

    /// The number of users of a text.
    pub(crate) fn users(&self, id: TextId) -> u32 {
        self.slot(id).map_or(0, |slot| slot.users)
    }

    /// The id of a text, or `None` if it has no users.
    pub(crate) fn find(&self, text: &str) -> Option<TextId> {
        let text = CompactText::new(text);
        let hash = self.hasher.hash_one(&text);
        let is_it = |id: &u32| self.slot(TextId(*id)).is_some_and(|slot| slot.text == text);
        self.ids.get(hash, is_it).copied().map(TextId)
    }

    /// Adds a user of `text`, which is stored if it is new.
    pub(crate) fn acquire(&mut self, text: &str) -> TextId {
        if let Some(id) = self.find(text) {
            self.add_user(id);
            return id;
        }
        let text = CompactText::new(text);
        let hash = self.hasher.hash_one(&text);
        self.text_bytes += text.heap_bytes();
        let id = self.store(Slot {
            text,
            users: 1,
            value: V::default(),
        });
        let Self {
            ids, pages, hasher, ..
        } = self;
        ids.insert(hash, id.0, |id| hash_of(hasher, pages, *id));
        id
    }

    /// Adds a user of a text that is stored.
    pub(crate) fn add_user(&mut self, id: TextId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.users += 1;
        }
    }

    /// Removes a user of a text. The text is forgotten with its last user.
    pub(crate) fn release(&mut self, id: TextId) {
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        slot.users -= 1;
        if slot.users > 0 {
            return;
        }
        let Self {
            ids, pages, hasher, ..
        } = self;
        let hash = hash_of(hasher, pages, id.0);
        ids.remove(
            hash,
            |other| *other == id.0,
            |other| hash_of(hasher, pages, *other),
        );
        let (page, place) = place_of(id);
        let Some(Some(it)) = self.pages.get_mut(page) else {
            return;
        };
        let emptied = Slot {
            text: CompactText::default(),
            users: 0,
            value: V::default(),
        };
        let slot = mem::replace(&mut it.slots[place], emptied);
        self.text_bytes -= slot.text.heap_bytes();
        it.free.push(place as u16);
        if it.free.len() == it.slots.len() {
            self.pages[page] = None;
            self.open.remove(&page);
            self.dropped.insert(page);
        } else {
            self.open.insert(page);
        }
    }

    pub(crate) fn text(&self, id: TextId) -> Option<&CompactText> {
        self.slot(id).map(|slot| &slot.text)
    }

    /// The value of the text.
    pub(crate) fn value(&self, id: TextId) -> Option<&V> {
        self.slot(id).map(|slot| &slot.value)
    }

    /// The value of the text.
    pub(crate) fn value_mut(&mut self, id: TextId) -> Option<&mut V> {
        self.slot_mut(id).map(|slot| &mut slot.value)
    }

    fn slot(&self, id: TextId) -> Option<&Slot<V>> {
        slot_in(&self.pages, id)
    }

    fn slot_mut(&mut self, id: TextId) -> Option<&mut Slot<V>> {
        let (page, place) = place_of(id);
        self.pages.get_mut(page)?.as_mut()?.slots.get_mut(place)
    }

    /// Stores a slot in the first page with room. Low pages fill up first, so that high ones become
    /// empty and are dropped.
    fn store(&mut self, slot: Slot<V>) -> TextId {
        let page = match self.open.first() {
            Some(page) => *page,
            None => self.add_page(),
        };
        // An open page exists and has room.
        let it = self.pages[page].get_or_insert_with(Page::new);
        let place = match it.free.pop() {
            Some(place) => {
                it.slots[usize::from(place)] = slot;
                usize::from(place)
            }
            None => {
                it.slots.push(slot);
                it.slots.len() - 1
            }
        };
        if it.free.is_empty() && it.slots.len() == PAGE_SLOTS {
            self.open.remove(&page);
        }
        TextId((page * PAGE_SLOTS + place) as u32)
    }

    fn add_page(&mut self) -> usize {
        let page = self.dropped.pop_first().unwrap_or(self.pages.len());
        if page == self.pages.len() {
            self.pages.push(None);
        }
        self.pages[page] = Some(Page::new());
        self.open.insert(page);
        page
    }
}

impl<V> Page<V> {
    fn new() -> Self {
        Self {
            slots: Vec::with_capacity(PAGE_SLOTS),
            free: Vec::new(),
        }
    }
}

fn place_of(TextId(id): TextId) -> (usize, usize) {
    (id as usize / PAGE_SLOTS, id as usize % PAGE_SLOTS)
}

fn slot_in<V>(pages: &[Option<Page<V>>], id: TextId) -> Option<&Slot<V>> {
    let (page, place) = place_of(id);
    pages.get(page)?.as_ref()?.slots.get(place)
}

fn hash_of<V>(hasher: &RandomState, pages: &[Option<Page<V>>], id: u32) -> u64 {
    slot_in(pages, TextId(id)).map_or(0, |slot| hasher.hash_one(&slot.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_forgotten_with_its_last_user() {
        let mut texts = Interner::<()>::default();
        let first = texts.acquire("mainnet");
        assert_eq!(texts.acquire("mainnet"), first);
        assert_eq!(texts.find("mainnet"), Some(first));
        texts.release(first);
        assert_eq!(texts.find("mainnet"), Some(first));
        texts.release(first);
        assert_eq!(texts.find("mainnet"), None);
        assert_eq!(texts.bytes(), 0);
    }

    #[test]
    fn pages_come_and_go_with_their_texts() {
        let mut texts = Interner::<u8>::default();
        let ids: Vec<_> = (0..5000)
            .map(|number| texts.acquire(&format!("store-{number}")))
            .collect();
        assert_eq!(texts.find("store-4321"), Some(ids[4321]));
        for (number, id) in ids.iter().enumerate() {
            if number != 17 {
                texts.release(*id);
            }
        }
        assert_eq!(texts.pages.iter().flatten().count(), 1);
        assert_eq!(texts.find("store-17"), Some(ids[17]));
        assert_eq!(texts.find("store-18"), None);
        let again = texts.acquire("store-18");
        assert_ne!(again, ids[17]);
        assert_eq!(texts.find("store-18"), Some(again));
    }
}
