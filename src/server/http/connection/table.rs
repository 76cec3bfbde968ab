//! The table of open connections, and which of them to evict when it is full.
//!
//! Opening, closing and evicting a connection lock the table. In between, the connection's worker
//! stores its activity in one atomic number, so that a request takes no lock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::closed::{Closed, Reason, ms_since};
use crate::clock::timer_now;
use crate::server::http::address_block::AddressBlock;
use crate::server::http::budget::{ByteBudget, Charge};

/// The maximum number of responses that wait for their clients to receive more. Above it, those that
/// began first are evicted. Each needs at most 100 KiB in this process and a send buffer of at
/// most 256 KiB, for which the kernel may use twice as much.
const MAX_STALLED_RESPONSES: usize = 256;

/// The maximum number of connections that keep buffers which a long request or response enlarged, up
/// to 100 KiB each. Others are closed after such a response.
const MAX_LARGE_BUFFERS: usize = 256;

/// The maximum memory for incomplete requests of all connections, in bytes. A few KiB of each do not
/// count.
const INPUT_BUDGET_BYTES: usize = 32 << 20;

/// What a connection is doing, which decides whether it can be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Activity {
    /// No request has begun.
    Idle = 0,
    /// A request has begun and is incomplete.
    Receiving = 1,
    /// A response waits for the client to receive more of it.
    Stalled = 2,
    /// The server handles a request.
    Busy = 3,
}

/// The table; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    max_per_block: usize,
    /// The number of connections to evict at a time. More than one, so that not every new
    /// connection has to search the table.
    eviction_batch: usize,
    started: Instant,
    table: Mutex<Table>,
    stalled: AtomicUsize,
    large: AtomicUsize,
    input: ByteBudget,
    closed: Closed,
}

#[derive(Debug, Default)]
struct Table {
    /// In no order; each entry stores its index.
    entries: Vec<Arc<Entry>>,
    per_block: HashMap<AddressBlock, usize>,
}

#[derive(Debug)]
struct Entry {
    /// The index in the table, or [`REMOVED`]. Changed only while the table is locked.
    index: AtomicUsize,
    block: Option<AddressBlock>,
    /// The [`Activity`] in the lowest two bits. Above them, when it began, in milliseconds since the
    /// start of the table.
    state: AtomicU64,
    is_evicted: AtomicBool,
    waker: AtomicWaker,
}

/// For this time a connection that has just become idle is spared when idle ones are evicted, in
/// milliseconds: its request may be on the way. Otherwise clients that send half a head at once would
/// always stay, and new honest clients would be evicted.
const FRESH_MS: u64 = 1000;

const REMOVED: usize = usize::MAX;
const ACTIVITY_BITS: u64 = 0b11;

impl Connections {
    pub(crate) fn new(max: usize, max_per_block: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            max_per_block,
            eviction_batch: max / 64 + 1,
            started: timer_now(),
            table: Mutex::default(),
            stalled: AtomicUsize::new(0),
            large: AtomicUsize::new(0),
            input: ByteBudget::new(INPUT_BUDGET_BYTES),
            closed: Closed::new(),
        }))
    }

    /// Adds a new connection, and evicts others if the table is full.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Reason> {
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
        // Before evicting others, so that an address over its maximum cannot evict anyone.
        if let Some(block) = &block
            && table.per_block.get(block).copied().unwrap_or(0) >= shared.max_per_block
        {
            return Err(Reason::AddressCap);
        }
        let mut evicted = Vec::new();
        // Idle connections first, then those with a slow client. A busy one is never evicted: the
        // server already handles its request.
        if table.entries.len() >= shared.max {
            let idle_before_ms = ms_since(shared.started, now).saturating_sub(FRESH_MS);
            evicted = table.evict(shared.eviction_batch, |activity, since_ms| {
                activity == Activity::Idle as u64 && since_ms <= idle_before_ms
            });
            if evicted.is_empty() {
                evicted = table.evict(shared.eviction_batch, |activity, _| {
                    activity != Activity::Busy as u64
                });
            }
        }
        if table.entries.len() >= shared.max {
            return Err(Reason::NoPlace);
        }
        let entry = Arc::new(Entry {
            index: AtomicUsize::new(table.entries.len()),
            block,
            state: AtomicU64::new(shared.pack(Activity::Idle, now)),
            is_evicted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        table.entries.push(Arc::clone(&entry));
        if let Some(block) = block {
            *table.per_block.entry(block).or_default() += 1;
        }
        // Waking tasks and logging need no lock.
        drop(table);
        shared.notify_evicted(&evicted, Reason::Evicted);
        Ok(Place {
            shared: Arc::clone(shared),
            entry,
            is_large: false.into(),
            is_stalled: false.into(),
        })
    }

    /// Returns the maximum number of connections.
    pub(crate) fn max(&self) -> usize {
        self.0.max
    }

    /// Returns the number of open connections.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub(crate) fn open(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Returns how many connections were closed, by reason.
    #[cfg_attr(not(test), expect(dead_code, reason = "the metrics will show it"))]
    pub(crate) fn closed(&self) -> &Closed {
        &self.0.closed
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pack(&self, activity: Activity, since: Instant) -> u64 {
        ms_since(self.started, since) << 2 | activity as u64
    }

    /// Counts evicted connections and wakes their tasks, which close them.
    fn notify_evicted(&self, evicted: &[Arc<Entry>], reason: Reason) {
        if evicted.is_empty() {
            return;
        }
        self.closed.add(reason, evicted.len() as u64);
        for entry in evicted {
            entry.is_evicted.store(true, Ordering::Release);
            entry.waker.wake();
        }
    }

    /// Evicts the connections of the responses that began first, if too many wait for their clients.
    fn limit_stalled(&self) {
        let evicted = {
            let mut table = self.lock();
            // `self.stalled` still includes evicted connections until their workers close them, so
            // this counts the entries of the table.
            let is_stalled = |entry: &Arc<Entry>| entry.activity() == Activity::Stalled as u64;
            let stalled = table.entries.iter().filter(|entry| is_stalled(entry));
            let surplus = stalled.count().saturating_sub(MAX_STALLED_RESPONSES);
            if surplus == 0 {
                return;
            }
            // Some more than necessary, so that the next stalled response does not search again.
            let count = surplus + MAX_STALLED_RESPONSES / 32;
            table.evict(count, |activity, _| activity == Activity::Stalled as u64)
        };
        self.notify_evicted(&evicted, Reason::SlowReader);
    }
}

impl Table {
    /// Removes up to `count` entries: those with the oldest activity, of the ones for which
    /// `is_eligible(activity, since_ms)`.
    fn evict(&mut self, count: usize, is_eligible: impl Fn(u64, u64) -> bool) -> Vec<Arc<Entry>> {
        let mut eligible: Vec<(u64, usize)> = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            // Read once: the worker may change it at any time.
            let state = entry.state.load(Ordering::Relaxed);
            let since_ms = state >> 2;
            if is_eligible(state & ACTIVITY_BITS, since_ms) {
                eligible.push((since_ms, index));
            }
        }
        // Finds the oldest ones without sorting all.
        if count < eligible.len() {
            eligible.select_nth_unstable(count);
            eligible.truncate(count);
        }
        // `remove` moves the last entry to the index of the removed one. From the highest index to
        // the lowest, it moves no entry that is still to be removed.
        eligible.sort_unstable_by_key(|&(_, index)| std::cmp::Reverse(index));
        let removed = eligible.iter().map(|&(_, index)| self.remove(index));
        removed.collect()
    }

    fn remove(&mut self, index: usize) -> Arc<Entry> {
        let entry = self.entries.swap_remove(index);
        entry.index.store(REMOVED, Ordering::Relaxed);
        if let Some(moved) = self.entries.get(index) {
            moved.index.store(index, Ordering::Relaxed);
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
        self.state.load(Ordering::Relaxed) & ACTIVITY_BITS
    }
}

/// The place of one connection in the table. Dropping it removes the connection.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    is_large: std::cell::Cell<bool>,
    is_stalled: std::cell::Cell<bool>,
}

impl Place {
    /// Sets the activity of the connection and when it began.
    pub(crate) fn record(&self, activity: Activity, since: Instant) {
        let state = self.shared.pack(activity, since);
        self.entry.state.store(state, Ordering::Relaxed);
    }

    /// Sets the activity, and keeps the time when the activity before it began.
    pub(crate) fn change_activity(&self, activity: Activity) {
        // Only the worker of the connection writes, so a load and a store lose no update.
        let since = self.entry.state.load(Ordering::Relaxed) & !ACTIVITY_BITS;
        let state = since | activity as u64;
        self.entry.state.store(state, Ordering::Relaxed);
    }

    /// Records that the client does not receive the response that began at `since`.
    pub(crate) fn stall(&self, since: Instant) {
        self.record(Activity::Stalled, since);
        if !self.is_stalled.replace(true) {
            let before = self.shared.stalled.fetch_add(1, Ordering::Relaxed);
            if before >= MAX_STALLED_RESPONSES {
                self.shared.limit_stalled();
            }
        }
    }

    /// Records that the client has received everything.
    pub(crate) fn unstall(&self) {
        if self.is_stalled.replace(false) {
            self.shared.stalled.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns whether the connection may keep large buffers. If not, it must be closed after its
    /// response.
    pub(crate) fn keep_large_buffers(&self) -> bool {
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

    /// Registers the waker to wake when the connection is evicted.
    pub(crate) fn wake_when_evicted(&self, waker: &Waker) {
        self.entry.waker.register(waker);
    }

    /// Whether the connection was evicted and must close.
    pub(crate) fn is_evicted(&self) -> bool {
        self.entry.is_evicted.load(Ordering::Acquire)
    }

    /// Returns an empty charge on the memory for incomplete requests.
    pub(crate) fn input_charge(&self) -> Charge {
        self.shared.input.charge()
    }

    /// Counts this connection as closed for `reason`.
    pub(crate) fn count_closed(&self, reason: Reason) {
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
        // An eviction has removed the entry already.
        let index = self.entry.index.load(Ordering::Relaxed);
        if index != REMOVED {
            table.remove(index);
        }
    }
}

#[cfg(test)]
mod tests;
