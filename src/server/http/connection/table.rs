//! All open connections, and who has to go when there is no place for another one.
//!
//! The table is locked when a connection opens, closes, or has to go. While it lives, its worker
//! writes what it is doing into one atomic number; a request costs no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::address::AddressBlock;
use super::closed::{Closed, Reason, ms_since};
use crate::clock::timer_now;
use crate::server::http::budget::{ByteBudget, Charge};

/// Responses that wait for their clients to take more. Beyond it the one that began first goes.
/// Each costs up to 100 KiB here and 256 KiB in the kernel.
const MAX_STALLED_RESPONSES: usize = 256;

/// Connections that may keep buffers which a long request or response made large, up to 100 KiB
/// each. Others are closed after such a response.
const MAX_LARGE_BUFFERS: usize = 256;

/// Bytes of half-received requests of all connections together, beyond a few KiB of each.
const INPUT_BUDGET_BYTES: usize = 32 << 20;

/// What a connection is doing, as far as closing it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Activity {
    /// No request has begun.
    Idle = 0,
    /// A request has begun and not arrived whole.
    Receiving = 1,
    /// A response waits for the client to take more of it.
    Stalled = 2,
    /// A request is being answered.
    Busy = 3,
}

/// The table; clones share it.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    max_per_block: usize,
    /// How many go at once when one has to, so that the search is not made for each newcomer.
    evicted_at_once: usize,
    started: Instant,
    table: Mutex<Table>,
    stalled: AtomicUsize,
    large: AtomicUsize,
    input: ByteBudget,
    closed: Closed,
}

#[derive(Debug, Default)]
struct Table {
    /// In no order; each entry knows where it is.
    entries: Vec<Arc<Entry>>,
    per_block: HashMap<AddressBlock, usize>,
}

#[derive(Debug)]
struct Entry {
    /// Where it is in the table; [`NOWHERE`] once it was taken out. Changed under the lock only.
    at: AtomicUsize,
    block: Option<AddressBlock>,
    /// Milliseconds since the start of the table, then two bits of [`Activity`].
    mark: AtomicU64,
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

/// How long a connection may be idle and still count as one whose request is on its way. Otherwise
/// a crowd that sends half a head at once would always be found less idle than honest newcomers.
const FRESH_MS: u64 = 1000;

const NOWHERE: usize = usize::MAX;
const ACTIVITY_BITS: u64 = 0b11;

impl Connections {
    pub fn new(max: usize, max_per_block: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            max_per_block,
            evicted_at_once: max / 64 + 1,
            started: timer_now(),
            table: Mutex::default(),
            stalled: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            input: ByteBudget::new(INPUT_BUDGET_BYTES),
            closed: Closed::new(),
        }))
    }

    /// Enters a connection that was just opened, at the cost of others if there is no place.
    pub fn enter(&self, address: Option<IpAddr>) -> Result<Place, Reason> {
        self.enter_at(address, timer_now())
    }

    fn enter_at(&self, address: Option<IpAddr>, now: Instant) -> Result<Place, Reason> {
        let entered = self.try_enter(address, now);
        if let Err(reason) = entered {
            self.0.closed.add(reason, 1);
        }
        entered
    }

    fn try_enter(&self, address: Option<IpAddr>, now: Instant) -> Result<Place, Reason> {
        let shared = &self.0;
        let block = address.and_then(AddressBlock::of);
        let mut table = shared.lock();
        if let Some(block) = &block
            && table.per_block.get(block).copied().unwrap_or(0) >= shared.max_per_block
        {
            return Err(Reason::AddressCap);
        }
        let mut evicted = Vec::new();
        if table.entries.len() >= shared.max {
            let idle_before_ms = ms_since(shared.started, now).saturating_sub(FRESH_MS);
            evicted = table.evict(shared.evicted_at_once, |activity, since_ms| {
                activity == Activity::Idle as u64 && since_ms <= idle_before_ms
            });
            if evicted.is_empty() {
                evicted = table.evict(shared.evicted_at_once, |activity, _| {
                    activity != Activity::Busy as u64
                });
            }
        }
        if table.entries.len() >= shared.max {
            return Err(Reason::NoPlace);
        }
        let entry = Arc::new(Entry {
            at: AtomicUsize::new(table.entries.len()),
            block,
            mark: AtomicU64::new(shared.mark(Activity::Idle, now)),
            is_evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        table.entries.push(Arc::clone(&entry));
        if let Some(block) = block {
            *table.per_block.entry(block).or_default() += 1;
        }
        drop(table);
        shared.tell(&evicted, Reason::Evicted);
        Ok(Place {
            shared: Arc::clone(shared),
            entry,
            is_large: false.into(),
            is_stalled: false.into(),
        })
    }

    /// How many there are places for.
    pub fn max(&self) -> usize {
        self.0.max
    }

    /// How many are open.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub fn open(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// How many were closed, and why.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub fn closed(&self) -> &Closed {
        &self.0.closed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, activity: Activity, since: Instant) -> u64 {
        ms_since(self.started, since) << 2 | activity as u64
    }

    /// Tells the connections that they were evicted. Their workers close them.
    fn tell(&self, evicted: &[Arc<Entry>], reason: Reason) {
        if evicted.is_empty() {
            return;
        }
        self.closed.add(reason, evicted.len() as u64);
        for entry in evicted {
            entry.is_evicted.store(true, Ordering::Release);
            entry.waker.wake();
        }
    }

    /// Closes the responses that have been under way for longest, if too many wait.
    fn bound_stalled(&self) {
        let evicted = {
            let mut table = self.lock();
            // Those evicted before are still counted until their workers close them.
            let is_stalled = |entry: &Arc<Entry>| entry.activity() == Activity::Stalled as u64;
            let stalled = table.entries.iter().filter(|entry| is_stalled(entry));
            let surplus = stalled.count().saturating_sub(MAX_STALLED_RESPONSES);
            if surplus == 0 {
                return;
            }
            let count = surplus + MAX_STALLED_RESPONSES / 32;
            table.evict(count, |activity, _| activity == Activity::Stalled as u64)
        };
        self.tell(&evicted, Reason::SlowReader);
    }
}

impl Table {
    /// Takes out the `count` entries that have been doing what they do for longest, of those which
    /// `is_eligible` by what they do and since when.
    fn evict(&mut self, count: usize, is_eligible: impl Fn(u64, u64) -> bool) -> Vec<Arc<Entry>> {
        let mut eligible: Vec<(u64, usize)> = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let mark = entry.mark.load(Ordering::Relaxed);
            let since_ms = mark >> 2;
            if is_eligible(mark & ACTIVITY_BITS, since_ms) {
                eligible.push((since_ms, at));
            }
        }
        if count < eligible.len() {
            eligible.select_nth_unstable(count);
            eligible.truncate(count);
        }
        // Taking one out moves the last one into its place, so the last ones go first.
        eligible.sort_unstable_by_key(|&(_, at)| std::cmp::Reverse(at));
        let taken = eligible.iter().map(|&(_, at)| self.take(at));
        taken.collect()
    }

    fn take(&mut self, at: usize) -> Arc<Entry> {
        let entry = self.entries.swap_remove(at);
        entry.at.store(NOWHERE, Ordering::Relaxed);
        if let Some(moved) = self.entries.get(at) {
            moved.at.store(at, Ordering::Relaxed);
        }
        if let Some(block) = &entry.block
            && let Some(count) = self.per_block.get_mut(block)
        {
            *count -= 1;
            if *count == 0 {
                self.per_block.remove(block);
            }
        }
        entry
    }
}

impl Entry {
    fn activity(&self) -> u64 {
        self.mark.load(Ordering::Relaxed) & ACTIVITY_BITS
    }
}

/// The place of one connection in the table; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    is_large: std::cell::Cell<bool>,
    is_stalled: std::cell::Cell<bool>,
}

impl Place {
    /// Notes what the connection is doing, and since when.
    pub fn note(&self, activity: Activity, since: Instant) {
        let mark = self.shared.mark(activity, since);
        self.entry.mark.store(mark, Ordering::Relaxed);
    }

    /// Notes what the connection is doing, for as long as it has been doing what it did.
    pub fn note_also(&self, activity: Activity) {
        let since = self.entry.mark.load(Ordering::Relaxed) & !ACTIVITY_BITS;
        let mark = since | activity as u64;
        self.entry.mark.store(mark, Ordering::Relaxed);
    }

    /// Notes that the client does not take the response that was begun at `since`.
    pub fn stall(&self, since: Instant) {
        self.note(Activity::Stalled, since);
        if !self.is_stalled.replace(true) {
            let before = self.shared.stalled.fetch_add(1, Ordering::Relaxed);
            if before >= MAX_STALLED_RESPONSES {
                self.shared.bound_stalled();
            }
        }
    }

    /// Notes that the client has taken everything.
    pub fn unstall(&self) {
        if self.is_stalled.replace(false) {
            self.shared.stalled.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the connection may keep large buffers; if not, it must be closed after its response.
    pub fn grow(&self) -> bool {
        if self.is_large.get() {
            return true;
        }
        let before = self.shared.large.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_LARGE_BUFFERS {
            self.shared.large.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.is_large.set(true);
        true
    }

    /// Has `waker` woken when the connection has to go.
    pub fn wake_when_evicted(&self, waker: &Waker) {
        self.entry.waker.register(waker);
    }

    /// Whether the connection has to go.
    pub fn is_evicted(&self) -> bool {
        self.entry.is_evicted.load(Ordering::Acquire)
    }

    /// A charge on the memory for half-received requests.
    pub fn input_charge(&self) -> Charge {
        self.shared.input.charge()
    }

    /// Counts that the connection is closed for `reason`.
    pub fn count_closed(&self, reason: Reason) {
        self.shared.closed.add(reason, 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unstall();
        if self.is_large.get() {
            self.shared.large.fetch_sub(1, Ordering::Relaxed);
        }
        let mut table = self.shared.lock();
        let at = self.entry.at.load(Ordering::Relaxed);
        if at != NOWHERE {
            table.take(at);
        }
    }
}

#[cfg(test)]
mod tests;
